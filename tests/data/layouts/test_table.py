"""A table that names files and says what is on them."""

import pandas as pd
import pytest
from edgewright.data.labelled import read_labelled
from edgewright.data.layouts import list_images
from edgewright.errors import InputError

from tests.data.small_folder import drawn, save, write_table


@pytest.fixture
def folder(tmp_path):
    """Six pictures, named by the letters a to f."""
    for number, name in enumerate("abcdef"):
        save(drawn("disc", "red", number), tmp_path / "data" / f"{name}.png")
    return tmp_path / "data"


def write(folder, text, name="labels.csv"):
    (folder / name).write_text(text)
    return folder


def labels_of(listing, name):
    labels = [label for group in listing.groups for label in group.labels]
    return {label for label, yes in zip(labels, listing.has[listing.names.index(name)], strict=True) if yes}


def test_columns_of_yes_and_no_and_of_values(folder):
    listing = list_images(
        write(folder, "file,helmet,vest,colour,kind\nb.png,1,no,red,x\na.png,0,yes,red;blue,\nc.png,1,No,,y\n")
    )
    assert listing.names == ("a.png", "b.png", "c.png")
    assert [(g.name, g.labels, g.exclusive) for g in listing.groups] == [
        ("helmet", ("helmet",), False),
        ("vest", ("vest",), False),
        ("colour", ("blue", "red"), False),
        ("kind", ("x", "y"), True),
    ]
    assert labels_of(listing, "a.png") == {"vest", "red", "blue"}
    assert labels_of(listing, "b.png") == {"helmet", "red", "x"}
    assert labels_of(listing, "c.png") == {"helmet", "y"}


def test_splits_of_a_table(folder):
    listing = list_images(write(folder, "file,split,kind\na.png,train,x\nb.png,VAL,y\nc.png,test,x\n"))
    assert listing.split.tolist() == [0, 1, 2]
    assert list_images(write(folder, "file,split,kind\na.png,,x\nb.png,,y\n")).split.tolist() == [-1, -1]


def test_tabs_quotes_and_a_byte_order_mark(folder):
    assert labels_of(list_images(write(folder, "file\tkind\na.png\tx y\nb.png\tz\n", "labels.tsv")), "a.png") == {"x y"}
    (folder / "labels.tsv").unlink()
    (folder / "labels.csv").write_bytes('\ufefffile,kind\n"a.png","x"\nb.png,y\n'.encode())
    assert labels_of(list_images(folder / "labels.csv"), "a.png") == {"x"}


def test_parquet_has_the_same_labels_as_csv(tmp_path):
    folder = write_table(tmp_path / "table")
    one = read_labelled(folder, tmp_path / "cache")
    frame = pd.read_csv(folder / "labels.csv")
    frame["bright"] = frame["bright"] == "yes"
    (folder / "labels.csv").unlink()
    frame.to_parquet(folder / "labels.parquet")
    assert read_labelled(folder, tmp_path / "cache").digest == one.digest


def test_numbers_and_lists_in_parquet(folder):
    pd.DataFrame({"file": ["a.png", "b.png"], "n": [1.0, None], "tags": [["x", "y"], ["z"]]}).to_parquet(
        folder / "labels.parquet"
    )
    with pytest.raises(InputError, match="the column 'n' of .* says yes or no, but nothing of b.png"):
        list_images(folder)
    pd.DataFrame({"file": ["a.png", "b.png"], "n": [5.0, None], "tags": [["x", "y"], ["z"]]}).to_parquet(
        folder / "labels.parquet"
    )
    assert labels_of(list_images(folder), "a.png") == {"5", "x", "y"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name,kind\na.png,x\n", "has no column 'file'; it has: name, kind"),
        ("", "has no column 'file'; it has: none"),
        ("file,kind\n", "names no files; add a row for each image"),
        ("file\na.png\n", "has no column that says what its images show; add one"),
        ("file,split\na.png,train\n", "has no column that says what its images show; add one"),
        ("file,kind\na.png,x\nno.png,y\nno2.png,y\n", "names 2 files that are not there: no.png, no2.png; paths start"),
        ("file,kind\n,x\n", "has '' in the column 'file', which names no file"),
        ("file,kind\na.png,x\n./a.png,y\n", "names a.png in 2 rows; join them"),
        ("file,split,kind\na.png,train,x\nb.png,later,y\n", "has the split 'later'; it must be one of"),
        ("file,split,kind\na.png,train,x\nb.png,,y\n", "has the split ''; it must be one of"),
        ("file,kind\na.png,\nb.png,\n", "the column 'kind' of .* is empty; fill it or remove it"),
        ("file,vest\na.png,1\nb.png,\n", "the column 'vest' of .* says yes or no, but nothing of b.png; fill it"),
        ('file,kind\na.png,"x, y"\nb.png,z\n', "the label 'x, y' cannot be typed in a task: it holds a comma"),
        ("file,kind,kind \na.png,x,y\n", "has two columns 'kind'; rename or remove one"),
        ("file,kind\na.png,x,y,z\nb.png\n", "cannot read .*: line 2 has 4 cells where the first line has 2; is it"),
        ('file,kind\na.png,"x\nb.png,y\n', "cannot read .*: unexpected end of data; is it a table"),
    ],
)
def test_a_mistake_in_a_table_is_one_sentence(folder, text, sentence):
    with pytest.raises(InputError, match=sentence) as error:
        list_images(write(folder, text))
    assert "\n" not in str(error.value)


def test_files_that_are_no_tables(folder):
    (folder / "labels.csv").write_bytes(b"file,kind\n\xff\xfe,x\n")
    with pytest.raises(InputError, match="cannot read .*labels.csv: .*is it a table in UTF-8"):
        list_images(folder)
    (folder / "labels.csv").rename(folder / "labels.parquet")
    with pytest.raises(InputError, match="cannot read .*labels.parquet"):
        list_images(folder)
    write(folder, "file,kind\n")
    with pytest.raises(InputError, match=r"holds 2 tables \(labels.csv, labels.parquet\); name one of them"):
        list_images(folder)


def test_files_out_of_the_folder_are_left_out(folder):
    outside = save(drawn("disc", "red", 1), folder.parent / "outside" / "a.png")
    (folder / "link.png").symlink_to(outside)
    (folder / "away").symlink_to(outside.parent)
    rows = ["a.png", "link.png", "away/a.png", "../outside/a.png", str(outside)]
    listing = list_images(write(folder, "file,kind\n" + "".join(f"{name},x\n" for name in rows)))
    assert listing.names == ("a.png",)
    assert listing.left_out.reasons == dict.fromkeys(sorted(rows[1:]), "a link out of the folder")
