"""Plugins are changed on the command line beside a running service, which follows; its sessions hear of it."""
import json
import os
import shutil
import subprocess

from client import connect, done, run
from conftest import ROOT


def plugin(service, *words):
    """(exit code, standard output, standard error) of `hydraglot plugin ...` on the service's data."""
    result = subprocess.run([service.binary, "plugin", *words, "--data", service.data], cwd=ROOT,
                            capture_output=True, text=True)
    return result.returncode, result.stdout, result.stderr


def change(service, *words):
    code, out, err = plugin(service, *words, "--json")
    assert code == 0, err
    return json.loads(out)["generation"]


def served(event):
    return {language["plugin"]: language["generation"] for language in event["languages"]}


async def told(client, wanted):
    """Waits until the session was told that wanted(served) is so."""
    await client.until(lambda e: e["type"] == "languages.changed" and wanted(served(e)))


def scaled_german(folder):
    """The German plugin with a weaker adapter, and nothing to check it with: other content of the same name."""
    shutil.copytree(ROOT / "plugins" / "de", folder, ignore=shutil.ignore_patterns("validation.tsv"))
    config = folder / "adapter_config.json"
    fields = json.loads(config.read_text())
    fields["lora_alpha"] /= 2
    config.write_text(json.dumps(fields))
    return str(folder)


@run
async def test_disabled_and_enabled(own_service):
    async with connect(own_service) as client:
        assert change(own_service, "disable", "sv") == 0
        await told(client, lambda plugins: "sv" not in plugins and "de" in plugins)
        rows = {row["code"]: row["targets"] for row in json.loads(own_service.get("/languages")[2])}
        assert "sv" not in rows["en"] and "de" in rows["en"]
        end = done(await client.translate("m", 1, "Good day.", ["sv", "de"], source="en", final=True))
        assert end["sv"]["code"] == "unknown_language" and end["de"]["status"] == "ok"
        code, _, err = plugin(own_service, "enable", "sv", "--seen", "1")
        assert code == 1 and "sv: none serves, no longer generation 1" in err
        assert change(own_service, "enable", "sv") == 1
        await told(client, lambda plugins: plugins.get("sv") == 1)
        end = done(await client.translate("n", 1, "Good day.", ["sv"], source="en", final=True))
        assert end["sv"]["status"] == "ok"
    assert plugin(own_service, "enable", "tlh")[0] == 1
    assert plugin(own_service, "enable")[0] == 2


@run
async def test_replaced_rolled_back_and_removed(own_service, tmp_path_factory):
    folder = scaled_german(tmp_path_factory.mktemp("plugin") / "de")
    code, _, err = plugin(own_service, "add", folder)
    assert code == 0, err
    contents = [name for name in os.listdir(own_service.data / "plugins") if len(name) == 64]
    assert len(contents) == 1
    async with connect(own_service) as client:
        assert client.ready["type"] == "session.ready" and served(client.ready)["de"] == 1
        assert change(own_service, "enable", "de", "--insist") == 2
        await told(client, lambda plugins: plugins["de"] == 2)
        end = done(await client.translate("m", 1, "Good day.", ["de"], source="en", final=True))
        assert end["de"]["status"] == "ok" and end["de"]["generation"] == 2
        code, _, err = plugin(own_service, "remove", "de", "--generation", "2")
        assert code == 1 and "serves" in err
        assert change(own_service, "rollback", "de") == 1
        await told(client, lambda plugins: plugins["de"] == 1)
        assert change(own_service, "remove", "de", "--generation", "2") == 1
        assert not (own_service.data / "plugins" / contents[0]).exists()
    own_service.stop()
    own_service.restart()
    async with connect(own_service) as client:
        assert served(client.ready)["de"] == 1


@run
async def test_what_was_enabled_serves_after_a_restart(own_service, tmp_path_factory):
    code, _, err = plugin(own_service, "add", scaled_german(tmp_path_factory.mktemp("plugin") / "de"))
    assert code == 0, err
    assert change(own_service, "enable", "de", "--insist") == 2
    assert change(own_service, "disable", "fr") == 0
    own_service.stop()
    stray = own_service.data / "plugins" / ("0" * 64)
    stray.mkdir()
    own_service.restart()
    assert not stray.exists(), "content that no row needs leaves at a start"
    async with connect(own_service) as client:
        assert served(client.ready)["de"] == 2 and "fr" not in served(client.ready)
        end = done(await client.translate("m", 1, "Good day.", ["de"], source="en", final=True))
        assert end["de"]["status"] == "ok" and end["de"]["generation"] == 2
