"""Formats out of the configurations of HAProxy and Envoy."""

import json

import pytest

from flowtally.agents.formats import Declared, format_of
from flowtally.agents.formats.envoyconfig import formats_in

TEXT = '[%START_TIME%] "%REQ(X-USER)%" %BYTES_RECEIVED% %BYTES_SENT%\n'
MEMBERS = {"t": "%START_TIME%", "n": {"up": "%BYTES_RECEIVED%", "down": "%BYTES_SENT%"}, "x": "it's # here"}
LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
STDOUT = "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"
TREE = {
    "static_resources": {
        "listeners": [
            {
                "access_log": [
                    {"typed_config": {"@type": LOG, "path": "/a", "log_format": {"text_format": TEXT}}},
                    {"typed_config": {"@type": LOG, "path": "/b", "log_format": {"json_format": MEMBERS}}},
                    {"typed_config": {"@type": STDOUT}},
                ]
            }
        ]
    }
}
YAML = f"""\
---
static_resources:
  listeners:
  - name: a   # comment
    access_log:
    - name: envoy.access_loggers.file
      typed_config:
        "@type": {LOG}
        path: /a
        log_format:
          text_format_source:
            inline_string: {json.dumps(TEXT)}
    - name: b
      typed_config:
        "@type": {LOG}
        path: "/b"
        log_format:
          json_format:
            t: "%START_TIME%"
            n:
              up: '%BYTES_RECEIVED%'
              down: "%BYTES_SENT%"
            x: 'it''s # here'
    - name: c
      typed_config: {json.dumps({"@type": STDOUT})}
    filters:
      - typed_config:
          direct_response: {{"body": {{"inline_string": "no format"}}}}
"""
BLOCK = f"""\
access_log:
  - typed_config:
      "@type": {LOG}
      path: /a
      log_format:
        text_format: |
          [%START_TIME%] "%REQ(X-USER)%" %BYTES_RECEIVED% %BYTES_SENT%
"""
RIGHT = {
    "/a": Declared(envoy_format=TEXT),
    "/b": Declared(envoy_format=json.dumps(MEMBERS)),
    "stdout": Declared(format="envoy"),
}


@pytest.mark.parametrize("text", [json.dumps(TREE), YAML], ids=["json", "yaml"])
def test_the_formats_of_envoys_logs_are_found_by_path(text: str) -> None:
    found = formats_in(text)
    assert found == RIGHT
    assert all(format_of(declared).means["time"] for declared in found.values())


def test_a_format_may_be_a_block_of_yaml() -> None:
    assert formats_in(BLOCK) == {"/a": Declared(envoy_format=TEXT.rstrip("\n"))}


@pytest.mark.parametrize("text", ["", "a: [1", "a: &x b", "- - -", "\t", ": : :", '{"a":', "x: |"])
def test_what_is_no_configuration_of_envoy_has_no_formats(text: str) -> None:
    assert formats_in(text) == {}
