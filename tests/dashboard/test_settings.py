from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dashboard import environment
from dashboard.environment import VARIABLES, BadSetting, Environment

ROOT = Path(__file__).parents[2]


def start(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """`manage.py check` with nothing but these variables."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={**kept, "WAITDESK_DATA": str(tmp_path), **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"ARGO_SERVER": "argo.example:2746/path"}, "ARGO_BASE_HREF"),
        ({"ARGO_SERVER": "https://me:hunter2@argo:2746"}, "ARGO_SERVER"),
        ({"ARGO_SERVER": "argo:2746", "ARGO_TOKEN": "s3cret\nX: y"}, "ARGO_TOKEN"),
        ({"ARGO_SERVER": "argo:2746", "ARGO_TOKEN": "s3cret", "ARGO_TOKEN_FILE": "/x"}, "exclude each other"),
        ({"ARGO_SERVER": "argo:2746", "ARGO_CA_FILE": "/no/such/file"}, "/no/such/file"),
        ({"ARGO_SERVER": "argo:2746", "ARGO_SECURE": "perhaps"}, "ARGO_SECURE"),
        ({"ARGO_CLUSTERS_FILE": "/no/such/file"}, "ARGO_CLUSTERS_FILE"),
        ({"DATABASE_URL": "mysql://root:hunter2@db/x"}, "DATABASE_URL"),
        ({"WAITDESK_HEAL_SECONDS": "soon"}, "WAITDESK_HEAL_SECONDS"),
        ({"WAITDESK_LOG_LEVEL": "LOUD"}, "WAITDESK_LOG_LEVEL"),
        ({"WAITDESK_PRODUCTION": "1"}, "SECRET_KEY"),
        ({"TIME_ZONE": "Mars/Olympus"}, "TIME_ZONE"),
    ],
)
def test_a_bad_setting_is_one_sentence_and_a_non_zero_exit(
    tmp_path: Path, variables: dict[str, str], named: str
) -> None:
    ended = start(tmp_path, **variables)
    assert ended.returncode == 2
    assert ended.stderr.startswith("Waitdesk cannot start: ")
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "hunter2" not in ended.stderr
    assert "s3cret" not in ended.stderr


def test_an_unknown_variable_is_warned_about_with_the_nearest_known(tmp_path: Path) -> None:
    ended = start(tmp_path, WAITDESK_HEAL_SECOND="60")
    assert ended.returncode == 0
    assert "WAITDESK_HEAL_SECOND is no setting of Waitdesk. Is WAITDESK_HEAL_SECONDS meant?" in ended.stderr


def test_the_secret_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    env = Environment({})
    first = environment.secret_key(env, data=tmp_path, production=False)
    assert environment.secret_key(env, data=tmp_path, production=False) == first
    assert len(first) > 50
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["secret_key"]


@pytest.mark.parametrize(
    ("server", "secure", "url"),
    [
        ("argo:2746", True, "https://argo:2746"),
        ("argo:2746", False, "http://argo:2746"),
        ("http://127.0.0.1:2746/", True, "http://127.0.0.1:2746"),
        ("https://argo.example", False, "https://argo.example"),
    ],
)
def test_the_server_is_written_as_for_the_argo_cli_or_as_a_url(server: str, secure: bool, url: str) -> None:
    assert environment.server_url(server, secure=secure) == url


def test_one_argo_comes_from_the_argo_clis_variables(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    env = Environment(
        {
            "ARGO_SERVER": "argo:2746",
            "ARGO_TOKEN": "s3cret",
            "ARGO_NAMESPACE": "team-a, team-b,",
            "ARGO_INSECURE_SKIP_VERIFY": "true",
            "ARGO_CA_FILE": str(tmp_path / "ca.pem"),
            "ARGO_BASE_HREF": "/argo/",
        }
    )
    [cluster] = environment.clusters(env)
    assert (cluster.name, cluster.server_url) == ("default", "https://argo:2746")
    assert (cluster.namespaces, cluster.verify) == (("team-a", "team-b"), False)
    assert cluster.token is not None
    assert cluster.token.header() == "Bearer s3cret"
    assert "s3cret" not in repr(cluster)


def clusters_file(tmp_path: Path, text: str) -> Environment:
    (tmp_path / "clusters.toml").write_text(text)
    return Environment({"ARGO_CLUSTERS_FILE": str(tmp_path / "clusters.toml")})


def test_several_argos_come_from_a_file(tmp_path: Path) -> None:
    env = clusters_file(
        tmp_path,
        """
        [[clusters]]
        name = "prod"
        server = "argo-prod:2746"
        token_file = "/run/token"
        namespaces = ["team-a"]
        [[clusters]]
        name = "test"
        server = "http://argo-test:2746"
        insecure_skip_verify = true
        """,
    )
    prod, test = environment.clusters(env)
    assert (prod.name, prod.server_url, prod.namespaces) == ("prod", "https://argo-prod:2746", ("team-a",))
    assert (test.name, test.verify, test.token) == ("test", False, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "at least one"),
        ("nonsense", "not TOML"),
        ("[[clusters]]\nname = 'a'\nserver = 'x:1'\ntokn = 's3cret'", "no tokn"),
        ("[[clusters]]\nserver = 'x:1'", "a name and a server"),
        ("[[clusters]]\nname = 'a'\nserver = 'x:1'\n[[clusters]]\nname = 'a'\nserver = 'y:1'", "same name"),
        ("[[clusters]]\nname = 'a'\nserver = 'x:1'\nnamespaces = 'team-a'", "list of names"),
        ("[[clusters]]\nname = 'a'\nserver = 'x:1'\ninsecure_skip_verify = 'no'", "insecure_skip_verify"),
    ],
)
def test_what_is_wrong_in_the_clusters_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadSetting, match=said) as caught:
        environment.clusters(clusters_file(tmp_path, text))
    assert "s3cret" not in str(caught.value)


def test_the_table_of_settings_in_the_docs_is_the_one_in_the_code() -> None:
    documented = (ROOT / "docs" / "settings.md").read_text()
    rows = [f"| `{v.name}` | {f'`{v.default}`' if v.default else ''} | {v.meaning} |" for v in VARIABLES]
    assert [row for row in rows if row not in documented] == []
    assert documented.count("\n| `") == len(rows)
