//! The static files of the pages, and the custom files of `frontend.dir`.
//!
//! The static files are compiled in and served under names that change with their content, so that they may be cached
//! for a year. The stylesheets are those of `templates/static`, minified by the build script (`minify_css.rs`).

/// One static file.
pub struct Asset {
    stem: &'static str,
    extension: &'static str,
    pub content_type: &'static str,
    pub bytes: &'static [u8],
    hash: u32,
}

pub const STYLESHEET: Asset = Asset::new(
    "countersign",
    "css",
    "text/css; charset=utf-8",
    include_bytes!(concat!(env!("OUT_DIR"), "/countersign.css")),
);
pub const ADMIN_STYLESHEET: Asset = Asset::new(
    "admin",
    "css",
    "text/css; charset=utf-8",
    include_bytes!(concat!(env!("OUT_DIR"), "/admin.css")),
);
pub const EXAMPLE_APP_STYLESHEET: Asset = Asset::new(
    "example-app",
    "css",
    "text/css; charset=utf-8",
    include_bytes!(concat!(env!("OUT_DIR"), "/example-app.css")),
);
pub const FORM_POST_SCRIPT: Asset = Asset::new(
    "form-post",
    "js",
    "text/javascript; charset=utf-8",
    include_bytes!("../../../../templates/static/form-post.js"),
);
pub const SHOW_PASSWORD_SCRIPT: Asset = Asset::new(
    "show-password",
    "js",
    "text/javascript; charset=utf-8",
    include_bytes!("../../../../templates/static/show-password.js"),
);
pub const MARK: Asset = Asset::new(
    "mark",
    "svg",
    "image/svg+xml",
    include_bytes!("../../../../templates/static/mark.svg"),
);

/// All static files; other names are answered with 404.
pub const ALL: [Asset; 6] = [
    STYLESHEET,
    ADMIN_STYLESHEET,
    EXAMPLE_APP_STYLESHEET,
    FORM_POST_SCRIPT,
    SHOW_PASSWORD_SCRIPT,
    MARK,
];

/// The file served as `<base>/static/<file_name>`; only the current versioned names exist.
pub fn find(file_name: &str) -> Option<Asset> {
    ALL.into_iter().find(|asset| asset.file_name() == file_name)
}

impl Asset {
    const fn new(
        stem: &'static str,
        extension: &'static str,
        content_type: &'static str,
        bytes: &'static [u8],
    ) -> Self {
        Self { stem, extension, content_type, bytes, hash: fnv1a(bytes) }
    }

    /// `countersign.0123abcd.css`
    pub fn file_name(&self) -> String {
        format!("{}.{:08x}.{}", self.stem, self.hash, self.extension)
    }

    /// `/dex/static/countersign.0123abcd.css` for base `/dex`.
    pub fn url(&self, base: &str) -> String {
        format!("{base}/static/{}", self.file_name())
    }
}

/// FNV-1a, to distinguish versions; not for security.
const fn fnv1a(mut bytes: &[u8]) -> u32 {
    let mut hash: u32 = 0x811c_9dc5;
    while let Some((byte, rest)) = bytes.split_first() {
        hash = (hash ^ *byte as u32).wrapping_mul(0x0100_0193);
        bytes = rest;
    }
    hash
}

/// The files of `frontend.dir`, kept in memory.
#[derive(Clone, Debug, Default)]
pub struct ThemeFiles {
    pub styles: Option<Vec<u8>>,
    pub logo: Option<Vec<u8>>,
    pub favicon: Option<Vec<u8>>,
}

pub const STYLES: &str = "styles.css";
pub const LOGO: &str = "logo.png";
pub const FAVICON: &str = "favicon.png";

impl ThemeFiles {
    pub fn find(&self, name: &str) -> Option<(&[u8], &'static str)> {
        let (bytes, content_type) = match name {
            STYLES => (&self.styles, "text/css; charset=utf-8"),
            LOGO => (&self.logo, "image/png"),
            FAVICON => (&self.favicon, "image/png"),
            _ => return None,
        };
        Some((bytes.as_deref()?, content_type))
    }
}
