"""Scrapers that are installed: listed, run as a script, their answers joined with what is in the library."""

import json

import pytest
from stash_world import world
from stashapi.stash_types import StashItem
from test_stash_operations import find

SCRIPT = """
import json, sys
given = json.load(sys.stdin)
print("\\x01i\\x02asked " + sys.argv[1], file=sys.stderr)
if sys.argv[1] == "search":
    print(json.dumps([{"title": given["name"] + " 1"}, {"title": given["name"] + " 2"}]))
elif sys.argv[1] == "nothing":
    print("null")
elif sys.argv[1] == "broken":
    print("<html>")
elif sys.argv[1] == "performer":
    print(json.dumps({"name": "béa ito", "birthdate": "2000-01-01"}))
else:
    print(json.dumps({
        "title": "Found", "url": given.get("url"), "details": json.dumps(given, sort_keys=True),
        "performers": [{"name": "ada KELLER"}, {"name": "Somebody New"}],
        "studio": {"name": "Driftwood Films"}, "tags": [{"name": "Nowhere"}],
    }))
"""
YML = """
name: Example Site
sceneByURL:
  - action: script
    url: [example.org/scene]
    script: [python3, scrape.py, url]
  - action: script
    url: [example.org/gone]
    script: [python3, scrape.py, nothing]
  - action: script
    url: [example.org/broken]
    script: [python3, scrape.py, broken]
sceneByName: {action: script, script: [python3, scrape.py, search]}
sceneByQueryFragment: {action: script, script: [python3, scrape.py, query]}
sceneByFragment: {action: script, script: [python3, scrape.py, fragment]}
performerByURL: [{action: script, url: [example.org/person], script: [python3, scrape.py, performer]}]
"""


@pytest.fixture
def stash(tmp_path):
    folder = tmp_path / "config" / "scrapers" / "community" / "example"
    folder.mkdir(parents=True)
    (folder / "ExampleSite.yml").write_text(YML)
    (folder / "scrape.py").write_text(SCRIPT)
    (folder / "web.yml").write_text(
        "name: Web\nsceneByURL: [{action: scrapeXPath, url: [web.org], scraper: s}]\n"
    )
    (folder / "bad.yml").write_text("name: Bad\nsceneByURL: [{action: script, url: [x]}]\n")
    with world(tmp_path, seed=2) as found:
        yield found


def test_they_are_listed(stash):
    rows = find(
        stash, "listScrapers(types: [SCENE]) { id name scene { urls supported_scrapes } performer { urls } }"
    )
    assert [row["id"] for row in rows] == ["builtin_autotag", "ExampleSite", "web"]
    assert rows[1]["scene"] == {
        "urls": ["example.org/scene", "example.org/gone", "example.org/broken"],
        "supported_scrapes": ["FRAGMENT", "NAME", "URL"],
    }
    assert rows[1]["performer"] == {"urls": ["example.org/person"]}
    assert any("script is mandatory" in line for line in stash.logged())
    ids = {row["id"] for row in stash.api().list_scrapers([StashItem.PERFORMER])}
    assert ids == {"builtin_freeones", "ExampleSite"}


def test_a_new_one_after_a_reload(stash):
    find(stash, "listScrapers(types: [SCENE]) { id }")
    (stash.instance.config_dir / "scrapers" / "new.yml").write_text(YML.replace("Example Site", "New"))
    assert "new" not in [row["id"] for row in find(stash, "listScrapers(types: [SCENE]) { id }")]
    assert stash.api().reload_scrapers() is True
    assert "new" in [row["id"] for row in find(stash, "listScrapers(types: [SCENE]) { id }")]


def test_by_url(stash):
    url = "https://example.org/scene/7"
    found = stash.api().scrape_scene_url(url)
    assert (found["title"], found["urls"], json.loads(found["details"])) == ("Found", [url], {"url": url})
    # What the library has already comes with its number.
    assert [(p["name"], p["stored_id"]) for p in found["performers"]] == [
        ("ada KELLER", "1"),
        ("Somebody New", None),
    ]
    assert (found["studio"]["stored_id"], found["tags"][0]["stored_id"]) == ("1", None)
    assert "Info [Scrape / Example Site] asked url" in stash.logged()
    person = stash.api().scrape_performer_url("https://example.org/person/1")
    assert (person["stored_id"], person["birthdate"]) == ("2", "2000-01-01")
    anything = (
        'scrapeURL(url: "https://example.org/person/1", ty: PERFORMER) { ... on ScrapedPerformer { name } }'
    )
    assert find(stash, anything) == {"name": "béa ito"}


def test_an_address_nobody_knows_or_that_is_empty(stash):
    assert stash.api().scrape_scene_url("https://other.org/1") is None
    assert stash.api().scrape_scene_url("https://example.org/gone/1") is None


def test_by_name_and_by_what_was_found(stash):
    api = stash.api()
    rows = api.scrape_scene("ExampleSite", {"query": "Light"})
    assert [row["title"] for row in rows] == ["Light 1", "Light 2"]
    (again,) = api.scrape_scene("ExampleSite", {"scene_input": {"title": "Light 1"}})
    assert json.loads(again["details"]) == {"title": "Light 1"}


def test_by_a_scene_that_is_there(stash):
    (first,) = stash.api().scrape_scene("ExampleSite", 1)
    given = json.loads(first["details"])
    assert (given["id"], given["title"], given["date"], given["urls"]) == (
        "1",
        "First light",
        "2024-05-17",
        [],
    )
    (second,) = stash.api().scrape_scene("ExampleSite", 2)
    assert json.loads(second["details"])["title"] == "second.mp4"  # for want of a title


def test_auto_tag_is_a_scraper_too(tmp_path):
    scene = {"path": "/data/Driftwood Films/ada.keller on the beach.mp4"}
    library = {"studios": [{"name": "Driftwood Films"}], "performers": [{"name": "Ada Keller"}]}
    with world(
        tmp_path, library | {"tags": [{"name": "Beach"}], "scenes": [scene, {"path": "/x.mp4"}]}
    ) as found:
        (row,) = found.api().scrape_scene("builtin_autotag", 1)
        assert [p["stored_id"] for p in row["performers"]] == ["1"]
        assert (row["studio"]["name"], row["tags"][0]["name"]) == ("Driftwood Films", "Beach")
        assert found.api().scrape_scene("builtin_autotag", 2) is None


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('scrapeSceneURL(url: "https://example.org/broken") { title }', "could not unmarshal json"),
        ('scrapeSceneURL(url: "https://web.org/1") { title }', "not imitated"),
        (
            'scrapeSingleScene(source: {scraper_id: "web"}, input: {query: "x"}) { title }',
            "cannot use scraper web",
        ),
        (
            'scrapeSingleScene(source: {scraper_id: "nobody"}, input: {query: "x"}) { title }',
            "nobody not found",
        ),
        ('scrapeSingleScene(source: {scraper_id: "ExampleSite"}, input: {}) { title }', "must be set"),
        ('scrapeSingleTag(source: {}, input: {query: "x"}) { name }', "must be set"),
        ('scrapeMultiScenes(source: {scraper_id: "web"}, input: {}) { title }', "not supported"),
    ],
)
def test_what_goes_wrong(stash, query, message):
    answer = stash.post(f"{{ {query} }}")
    assert answer.status == 200 and message in answer.json["errors"][0]["message"]
