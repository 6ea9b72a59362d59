"""`airflow pai images`, over the official images of an emulated account."""

from __future__ import annotations

import json

import pytest

from airflow_provider_pai.cli.__main__ import main
from airflow_provider_pai.cli.images import Image
from airflow_provider_pai.hooks.aiworkspace import AIWorkspaceHook

pytestmark = pytest.mark.usefixtures("connection")


def test_official_images_come_newest_first_as_lines_to_paste(capsys):
    own = AIWorkspaceHook().register_image("own-pytorch", "registry/own/pytorch:1", {}, accessibility="PUBLIC")
    capsys.readouterr()  # Airflow 2.11 logs to it
    main(["images", "--framework", "pytorch"])
    lines = capsys.readouterr().out.splitlines()
    address = "dsw-registry-vpc.cn-hangzhou.cr.aliyuncs.com/pai/pytorch:2.6.0-gpu-py311-cu124-ubuntu22.04"
    assert lines[0] == f'image="{address}",  # GPU, PyTorch 2.6.0, Python 3.11, dsw dlc, 2025-06-18'
    assert eval(f"dict({lines[0]}\n)") == {"image": address}
    assert [line[-10:] for line in lines] == sorted((line[-10:] for line in lines), reverse=True)
    assert any("# CPU, PyTorch" in line for line in lines)
    main(["images", "--json"])
    images = json.loads(capsys.readouterr().out)
    assert own not in {image["image_id"] for image in images}
    assert {image["framework"].split()[0] for image in images} == {"PyTorch", "TensorFlow", "XGBoost"}
    main(["images", "--framework", "none-such"])
    assert capsys.readouterr().err.endswith("None fits; without --framework all are listed\n")


def test_a_framework_is_read_in_either_of_its_labels_and_what_is_not_told_is_empty():
    item = {"Name": "n", "ImageUri": "u", "ImageId": "i", "Labels": [{"Key": "system.framework.PyTorch", "Value": "2"}]}
    assert Image.of(item).framework == "PyTorch 2"
    assert Image.of({**item, "Labels": None}).line == 'image="u",  # '
