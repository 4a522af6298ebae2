"""`edgewright report`: one page of a workspace."""


def test_report_writes_one_page(edgewright, profiled, tmp_path):
    out = tmp_path / "page.html"
    answer = edgewright("report", profiled, "--out", out, "--json")
    assert answer.exit_code == 0 and answer.json["device"] == "local" and answer.json["files"] == [str(out)]
    assert out.read_text().count('class="chart"') >= 4


def test_report_needs_measurements(edgewright, profiled, tmp_path):
    empty = edgewright("report", tmp_path)
    assert empty.exit_code == 2 and "is not a workspace with measurements; profile a device first" in empty.err
    nobody = edgewright("report", profiled, "--device", "phone")
    assert nobody.exit_code == 2 and "has no records of phone with this supernet" in nobody.err
    form = edgewright("report", profiled, "--format", "pdf")
    assert form.exit_code == 2 and "--format must be one of html, png, svg, got 'pdf'" in form.err
