"""A SAML 2.0 identity provider built on the library pysaml2, which signs with xmlsec1, as an upstream of ours.

Started by tests/world/third_party.rs with the commands of saml.mjs: it reads one JSON object from standard input,

  {"op":"begin","listen":"http://127.64.0.1:4003","acs":URL,"issuer":…,"audience":…,"certificate":PEM,"key":PEM,
   "person":{"id":…,"name":…,"email":…,"groups":[…]}}

and answers {"done":"begin"}. At /sso/response, /sso/assertion and /sso/both it takes an AuthnRequest (HTTP-POST binding)
and signs in that person at once, with RSA and SHA-256: the response, its assertion, or both are signed. At /sso/default
it signs the assertion with the algorithms that the library uses when nothing is configured. The attributes have the
names that the library gives them: object identifiers as URIs. The program exits at the end of input.
"""

import json
import pathlib
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from saml2 import BINDING_HTTP_POST
from saml2.authn_context import PASSWORDPROTECTEDTRANSPORT
from saml2.config import IdPConfig
from saml2.saml import NAME_FORMAT_URI, NAMEID_FORMAT_PERSISTENT, NameID
from saml2.server import Server
from saml2.xmldsig import DIGEST_SHA256, SIG_RSA_SHA256

SHA256 = {"sign_alg": SIG_RSA_SHA256, "digest_alg": DIGEST_SHA256}
HOW = {
    "/sso/response": {"sign_response": True, "sign_assertion": False, **SHA256},
    "/sso/assertion": {"sign_response": False, "sign_assertion": True, **SHA256},
    "/sso/both": {"sign_response": True, "sign_assertion": True, **SHA256},
    "/sso/default": {"sign_response": False, "sign_assertion": True},
}

SERVICE_PROVIDER = """<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{audience}">
<md:SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
<md:AssertionConsumerService Binding="{binding}" Location="{acs}" index="0"/>
</md:SPSSODescriptor></md:EntityDescriptor>"""


def report(what):
    print(json.dumps(what), flush=True)


def provider(begin, folder):
    """The library's server, with one service provider in its metadata."""
    for name in ("certificate", "key"):
        pathlib.Path(folder, name).write_text(begin[name])
    config = IdPConfig().load(
        {
            "entityid": begin["issuer"],
            "xmlsec_binary": "/usr/bin/xmlsec1",
            "key_file": f"{folder}/key",
            "cert_file": f"{folder}/certificate",
            "metadata": {
                "inline": [
                    SERVICE_PROVIDER.format(binding=BINDING_HTTP_POST, **begin)
                ]
            },
            "service": {
                "idp": {
                    "endpoints": {
                        "single_sign_on_service": [
                            (begin["listen"] + path, BINDING_HTTP_POST) for path in HOW
                        ]
                    },
                    "policy": {
                        "default": {
                            "lifetime": {"minutes": 5},
                            "name_form": NAME_FORMAT_URI,
                        }
                    },
                }
            },
        }
    )
    return Server(config=config)


def signed_in(server, person, request, how):
    """The page that posts the response to this AuthnRequest."""
    parsed = server.parse_authn_request(request, BINDING_HTTP_POST)
    answer = server.response_args(parsed.message, [BINDING_HTTP_POST])
    identity = {
        "displayName": [person["name"]],
        "mail": [person["email"]],
        "isMemberOf": person["groups"],
    }
    response = server.create_authn_response(
        identity,
        in_response_to=answer["in_response_to"],
        destination=answer["destination"],
        sp_entity_id=answer["sp_entity_id"],
        name_id=NameID(format=NAMEID_FORMAT_PERSISTENT, text=person["id"]),
        authn={
            "class_ref": PASSWORDPROTECTEDTRANSPORT,
            "authn_auth": server.config.entityid,
        },
        **how,
    )
    return response, answer["destination"]


def handler(server, person):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            how = HOW.get(self.path)
            if how is None:
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers["Content-Length"]))
            form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
            try:
                response, destination = signed_in(server, person, form["SAMLRequest"], how)
            except Exception as error:
                report({"event": "failure", "reason": repr(error)})
                self.send_error(500)
                return
            page = server.apply_binding(
                BINDING_HTTP_POST,
                str(response),
                destination,
                form["RelayState"],
                response=True,
            )["data"].encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *arguments):
            pass

    return Handler


begin = json.loads(sys.stdin.readline())
with tempfile.TemporaryDirectory() as folder:
    idp = provider(begin, folder)
    address = urlsplit(begin["listen"])
    web = ThreadingHTTPServer(
        (address.hostname, address.port), handler(idp, begin["person"])
    )
    threading.Thread(target=web.serve_forever, daemon=True).start()
    report({"done": "begin"})
    for line in sys.stdin:
        report({"done": json.loads(line)["op"]})
