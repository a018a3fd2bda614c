// Lints a chart and renders it without a cluster, by Helm's own packages: `chart CHART RELEASE NAMESPACE VALUES...`. The
// program `helm` itself takes many minutes to build. Prints the manifests; fails on any message of the linter that is an
// error or a warning, and on values that the chart's schema refuses.
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(path, release, namespace string, files []string) error {
	chart, err := loader.Load(path)
	if err != nil {
		return err
	}
	values := map[string]any{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := yaml.Unmarshal(text, &values); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	linter := lint.RunAll(path, values, namespace)
	for _, message := range linter.Messages {
		if message.Severity >= support.WarningSev {
			return message
		}
	}
	options := common.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := util.ToRenderValuesWithSchemaValidation(chart, values, options, common.DefaultCapabilities, false)
	if err != nil {
		return err
	}
	rendered, err := engine.Render(chart, all)
	if err != nil {
		return err
	}
	var names []string
	for name, text := range rendered {
		if strings.HasSuffix(name, ".yaml") && strings.TrimSpace(text) != "" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Printf("---\n# Source: %s\n%s\n", name, strings.TrimSpace(rendered[name]))
	}
	return nil
}
