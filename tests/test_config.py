"""The settings: which source wins, what they are read as, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adjoin.config import BadConfig, Config, load


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the tests run there may be an `adjoin.toml`; here there is none."""
    monkeypatch.chdir(tmp_path)


def from_file(text: str) -> Config:
    Path("settings.toml").write_text(text, "utf-8")
    return load({}, {}, Path("settings.toml"))


class TestSources:
    def test_without_any_give_the_defaults(self) -> None:
        assert load({}, {}, None) == Config()

    def test_flags_win_over_environment_over_file(self) -> None:
        Path("adjoin.toml").write_text('host = "::1"\nport = 1\nlog-level = "debug"\n', "utf-8")
        found = load({"host": "127.0.0.3"}, {"ADJOIN_HOST": "127.0.0.2", "ADJOIN_PORT": "2"}, None)
        assert (found.host, found.port, found.log_level) == ("127.0.0.3", 2, "debug")

    def test_a_flag_that_was_not_given_is_none(self) -> None:
        assert load({"port": None, "host": None}, {"ADJOIN_PORT": "2"}, None).port == 2

    def test_a_flag_of_false_was_given(self) -> None:
        assert load({"log_requests": False}, {"ADJOIN_LOG_REQUESTS": "true"}, None).log_requests is False

    def test_an_empty_variable_was_not_given(self) -> None:
        assert load({}, {"ADJOIN_PORT": "", "ADJOIN_DATABASE": ""}, None) == Config()

    def test_other_variables_are_not_looked_at(self) -> None:
        assert load({}, {"ADJOIN_FULL": "1", "PORT": "5", "adjoin_port": "5"}, None) == Config()

    def test_the_file_is_found_where_the_service_starts(self) -> None:
        Path("adjoin.toml").write_text("port = 5", "utf-8")
        assert load({}, {}, None).port == 5

    def test_a_named_file_stands_in_for_it(self) -> None:
        Path("adjoin.toml").write_text("port = 5", "utf-8")
        assert from_file("port = 6").port == 6

    def test_a_named_file_has_to_be_there(self) -> None:
        with pytest.raises(BadConfig, match=r"no settings file nowhere\.toml"):
            load({}, {}, Path("nowhere.toml"))

    @pytest.mark.parametrize("content", [b"port 5", b"\xff", b"port = 5\nport = 6"])
    def test_a_file_that_is_no_toml_is_refused(self, content: bytes) -> None:
        Path("adjoin.toml").write_bytes(content)
        with pytest.raises(BadConfig, match="cannot be read"):
            load({}, {}, None)

    def test_a_directory_in_place_of_the_file_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadConfig, match="cannot be read"):
            load({}, {}, tmp_path)


class TestValues:
    @pytest.mark.parametrize(
        ("variable", "text", "name", "value"),
        [
            ("ADJOIN_HOST", "::1", "host", "::1"),
            ("ADJOIN_PORT", "0", "port", 0),
            ("ADJOIN_PORT", "65535", "port", 65_535),
            ("ADJOIN_DATA_DIR", "/a/b", "data_dir", Path("/a/b")),
            ("ADJOIN_DATABASE", "/a/b.db", "database", "/a/b.db"),
            ("ADJOIN_PUBLIC_URL", "https://x", "public_url", "https://x"),
            ("ADJOIN_BEHIND_PROXY", "true", "behind_proxy", True),
            ("ADJOIN_BEHIND_PROXY", "1", "behind_proxy", True),
            ("ADJOIN_BEHIND_PROXY", "false", "behind_proxy", False),
            ("ADJOIN_AUDIENCES", "api://a  api://b", "audiences", ("api://a", "api://b")),
            ("ADJOIN_LOG_LEVEL", "warning", "log_level", "warning"),
            ("ADJOIN_LOG_FORMAT", "json", "log_format", "json"),
            ("ADJOIN_LOG_REQUESTS", "0", "log_requests", False),
        ],
    )
    def test_are_read_from_the_environment(self, variable: str, text: str, name: str, value: object) -> None:
        assert getattr(load({}, {variable: text}, None), name) == value

    @pytest.mark.parametrize(
        ("text", "name", "value"),
        [
            ('data-dir = "a"', "data_dir", Path("a")),
            ('audiences = ["api://a"]', "audiences", ("api://a",)),
            ("behind-proxy = true", "behind_proxy", True),
            ("log-requests = false", "log_requests", False),
        ],
    )
    def test_are_read_from_the_file(self, text: str, name: str, value: object) -> None:
        assert getattr(from_file(text), name) == value

    @pytest.mark.parametrize(
        "text",
        [
            "port = 65536",
            "port = -1",
            'port = "http"',
            "port = 1.5",
            "host = 5",
            "database = 5",
            "data-dir = 5",
            "tls-cert = true",
            'audiences = "api://a"',
            "audiences = [5]",
            'log-level = "loud"',
            'behind-proxy = "sometimes"',
            "unknown = 5",
            "data_dir = 'a'",
            "[serve]\nport = 5",
        ],
    )
    def test_of_another_type_or_name_are_refused(self, text: str) -> None:
        with pytest.raises(BadConfig):
            from_file(text)


class TestDerived:
    @pytest.mark.parametrize(
        ("database", "file"),
        [
            (None, Path("var/adjoin.db")),
            ("x.db", Path("x.db")),
            ("/a/x.db", Path("/a/x.db")),
            ("sqlite:///x.db", Path("x.db")),
            ("sqlite:////a/x.db", Path("/a/x.db")),
        ],
    )
    def test_the_database_file(self, database: str | None, file: Path) -> None:
        assert load({"database": database}, {}, None).database_file == file

    def test_the_keys_are_in_the_data_directory(self) -> None:
        assert load({"data_dir": Path("d")}, {}, None).keys_dir == Path("d/keys")

    def test_the_scheme_is_https_with_a_certificate(self) -> None:
        assert Config().scheme == "http"
        assert Config(tls_cert=Path("c"), tls_key=Path("k")).scheme == "https"


class TestWhatIsWrong:
    @pytest.mark.parametrize(
        ("flags", "environment", "text", "says"),
        [
            ({"port": 99_999}, {"ADJOIN_PORT": "5"}, "port = 6", "--port is wrong: expected int <= 65535."),
            ({}, {"ADJOIN_PORT": "x"}, "port = 6", "ADJOIN_PORT is wrong: expected int, got str."),
            ({}, {"ADJOIN_TLS": "perhaps"}, "", "ADJOIN_TLS is wrong: expected bool, got str."),
            ({}, {}, 'port = "x"', "{file}: port is wrong: expected int, got str."),
            ({}, {}, 'trusted-proxies = "10.0.0.0/8"', "{file}: trusted-proxies is wrong: expected array, got str."),
            ({}, {}, "prot = 1", "{file}: there is no setting prot."),
        ],
    )
    def test_is_said_with_the_place_where_it_was_given(
        self, tmp_path: Path, flags: dict[str, Any], environment: dict[str, str], text: str, says: str
    ) -> None:
        file = tmp_path / "adjoin.toml"
        file.write_text(text, "utf-8")
        with pytest.raises(BadConfig) as caught:
            load(flags, environment, file)
        assert caught.value.message == says.format(file=file)

    @pytest.mark.parametrize(("text", "means"), [("yes", True), ("On", True), ("true", True), ("1", True)])
    def test_is_no_yes_in_the_environment(self, text: str, means: bool) -> None:
        assert load({}, {"ADJOIN_TLS": text}, None).tls is means

    @pytest.mark.parametrize("text", ["no", "OFF", "false", "0"])
    def test_is_no_no_in_the_environment(self, text: str) -> None:
        assert load({}, {"ADJOIN_LOG_REQUESTS": text}, None).log_requests is False


class TestPublicUrl:
    @pytest.mark.parametrize(
        "text",
        ["https://h", "http://h:8365", "https://h.example:65535", "https://[2001:db8::1]:1", "https://192.0.2.1"],
    )
    def test_is_scheme_host_and_port(self, text: str) -> None:
        assert load({"public_url": text}, {}, None).public_url == text
        assert load({"public_url": f"{text}/"}, {}, None).public_url == text

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "host",
            "ftp://host",
            "HTTPS",
            "https://",
            "https:///",
            "https://h//",
            "https://h/path",
            "https://h/path/",
            "https://h?x=1",
            "https://h#f",
            "https://h/?",
            "https://ho st",
            "https://h\n",
            "https://hö.example",
            "https://user:pw@h",
            "https://h:99999",
            "https://h:0",
            "https://h:",
            "https://h:x",
            "https://[::g]",
            "https://[1:2]",
            "https://::1",
        ],
    )
    def test_is_nothing_else(self, text: str) -> None:
        with pytest.raises(BadConfig, match="--public-url"):
            load({"public_url": text}, {}, None)


class TestContradictions:
    @pytest.mark.parametrize(
        ("flags", "words"),
        [
            ({"tls_cert": Path("c")}, "go together"),
            ({"tls_key": Path("k")}, "go together"),
            ({"database": "postgresql://u:se/cret@h/d"}, "is no URL of a PostgreSQL database"),
            ({"database": "mysql://h/d"}, "sqlite:///"),
            ({"database": ""}, "--database is empty"),
            ({"database": "sqlite:///"}, "--database is empty"),
            ({"workers": 2}, "only with --database postgresql"),
            ({"workers": 0}, "workers"),
            ({"host": "0.0.0.0"}, "in the clear"),
            ({"host": "::"}, "in the clear"),
            ({"host": "192.0.2.1"}, "in the clear"),
            ({"host": "example.org"}, "in the clear"),
            ({"host": "0.0.0.0", "behind_proxy": True}, "in the clear"),
        ],
    )
    def test_are_refused(self, flags: dict[str, Any], words: str) -> None:
        with pytest.raises(BadConfig, match=words):
            load(flags, {}, None)

    @pytest.mark.parametrize(
        "flags",
        [
            {"host": "127.0.0.2"},
            {"host": "::1"},
            {"host": "localhost"},
            {"host": "127.0.0.1", "behind_proxy": True},
            {"host": "0.0.0.0", "trusted_proxies": ("10.0.0.0/8",)},
            {"host": "0.0.0.0", "behind_proxy": True, "trusted_proxies": ("10.0.0.0/8",)},
            {"host": "0.0.0.0", "tls_cert": Path("c"), "tls_key": Path("k")},
        ],
    )
    def test_are_none_where_the_tokens_are_safe(self, flags: dict[str, Any]) -> None:
        assert load(flags, {}, None).host == flags["host"]
