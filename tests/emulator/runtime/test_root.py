from __future__ import annotations

from airflow_provider_pai.emulator.runtime.root import Root


def test_translates_whole_paths_and_ports_once(tmp_path):
    root = Root(tmp_path / "mnt/8000")
    root.map_path("/mnt", tmp_path / "mnt/8000/mnt")
    root.map_path("/mnt/data/", tmp_path / "d")
    root.map_port(8000, 23456)
    here = f"{tmp_path}/mnt/8000/mnt"
    assert (
        root.translate("ls /mnt /mnt/x /mnt/data/y /mnt-2 /a/mnt") == f"ls {here} {here}/x {tmp_path}/d/y /mnt-2 /a/mnt"
    )
    assert root.translate("--port=8000 -p 8000, 18000 8000.5 v8000") == "--port=23456 -p 23456, 18000 8000.5 v8000"
    assert root.translate_environment({"A": "x:/mnt/data"}) == {"A": f"x:{tmp_path}/d"}
