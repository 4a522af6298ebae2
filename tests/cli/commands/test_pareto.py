"""`edgewright pareto`: what a budget buys, as data."""


def test_pareto_writes_its_points(edgewright, profiled, tmp_path):
    out = tmp_path / "points.csv"
    answer = edgewright("pareto", "--task", "has 3", "--out", out, "--workspace", profiled, "--json")
    assert answer.exit_code == 0 and answer.json["task"] == "has, 3"
    points = answer.json["points"]
    assert len(points) > 5 and out.read_text().count("\n") == len(points) + 1
    for point in points:
        costs = [point[name] for name in ("latency_ms", "memory_mib", "size_mib")]
        assert not any(
            other["score"] > point["score"] and all(other[n] <= c for n, c in zip(list(point)[2:5], costs, strict=True))
            for other in points
        )
    wrong = edgewright("pareto", "--task", "has 3", "--out", tmp_path / "points.txt", "--workspace", profiled)
    assert wrong.exit_code == 2 and "--out must end in .csv" in wrong.err
