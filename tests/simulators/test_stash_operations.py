"""The root fields that stashapi never asks for: each by its result."""

import pytest
from stash_world import wait_for, world

from simulators.fake_stash.routes import make_engine


@pytest.fixture
def stash(tmp_path):
    with world(tmp_path, seed=2) as found:
        yield found


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """One of everything, not to be changed."""
    with world(tmp_path_factory.mktemp("filled")) as found:
        catalog = found.instance.catalog
        file = catalog.add_file("/i/1.png", {"media": "image"})
        catalog.add("image", {"file_ids": [file.id]})
        catalog.add("gallery", {"title": "G", "image_ids": [1]})
        catalog.add("marker", {"scene_id": 1, "title": "m", "primary_tag_id": 1})
        catalog.add_play(catalog.scenes[1], ["2024-01-01T00:00:00Z"])
        catalog.files[1].fingerprints.append(("phash", "f1"))
        catalog.update(catalog.rows["performer"][1], {"birthdate": "2000-05-01"})
        catalog.update(catalog.rows["performer"][2], {"custom_fields": {"eye": "left"}})
        yield found


def change(stash, mutation: str):
    """The answer of one mutation."""
    return stash.ask(f"mutation {{ found: {mutation} }}")["found"]


def find(stash, query: str):
    return stash.ask(f"{{ found: {query} }}")["found"]


def test_bulk_changes_of_named_things(stash):
    rows = stash.instance.catalog.rows
    assert change(stash, 'bulkTagUpdate(input: {ids: [1, 2], description: "d", favorite: true}) { id }') == [
        {"id": "1"},
        {"id": "2"},
    ]
    assert {tag.description for tag in rows["tag"].values()} == {"d"}
    change(stash, 'bulkTagUpdate(input: {ids: [1], aliases: {mode: SET, values: ["open air"]}}) { id }')
    assert rows["tag"][1].aliases == ["open air"]
    change(stash, "bulkTagUpdate(input: {ids: [2], parent_ids: {mode: REMOVE, ids: [1]}}) { id }")
    assert rows["tag"][2].parent_ids == []
    change(stash, "bulkTagUpdate(input: {ids: [1], child_ids: {mode: ADD, ids: [2]}}) { id }")
    assert rows["tag"][2].parent_ids == [1]
    change(
        stash, "bulkStudioUpdate(input: {ids: [1, 2], rating100: 70, tag_ids: {mode: ADD, ids: [1]}}) { id }"
    )
    assert [(studio.rating100, studio.tag_ids) for studio in rows["studio"].values()] == [(70, [1])] * 2
    change(
        stash,
        'bulkPerformerUpdate(input: {ids: [1, 2], urls: {mode: ADD, values: ["u"]}, gender: FEMALE}) { id }',
    )
    assert [(one.urls, one.gender) for one in rows["performer"].values()] == [(["u"], "FEMALE")] * 2
    change(stash, 'bulkPerformerUpdate(input: {ids: [1], custom_fields: {partial: {a: 1, b: "x"}}}) { id }')
    change(stash, 'bulkPerformerUpdate(input: {ids: [1], custom_fields: {remove: ["b"]}}) { id }')
    assert find(stash, "findPerformer(id: 1) { custom_fields }") == {"custom_fields": {"a": 1}}


@pytest.mark.parametrize("kind", ["studio", "group", "tag", "performer"])
def test_plural_deletes(stash, kind):
    assert change(stash, f"{kind}sDestroy(ids: [1])") is True
    assert 1 not in stash.instance.catalog.rows[kind]
    state = stash.handle.state()["scenes"][0]
    assert state["title"] == "First light"
    assert {"studio": state["studio"] is None, "group": state["groups"] == []}.get(kind, True)


@pytest.mark.parametrize(
    ("mutation", "words"),
    [
        ('tagCreate(input: {name: "outdoor"}) { id }', "tag with name 'Outdoor' already exists"),
        ('tagCreate(input: {name: " "}) { id }', "name must not be blank"),
        ('studioUpdate(input: {id: 2, name: "driftwood films"}) { id }', "already exists"),
        (
            'performerCreate(input: {name: "Ada Keller"}) { id }',
            "performer with name 'Ada Keller' already exists",
        ),
        ("studioUpdate(input: {id: 1, parent_id: 2}) { id }", "cannot apply studio as its own ancestor"),
        ("tagUpdate(input: {id: 1, parent_ids: [2]}) { id }", "cannot apply tag as its own ancestor"),
        (
            "tagsMerge(input: {source: [1], destination: 1}) { id }",
            "destination tag cannot be in source list",
        ),
        (
            "sceneMerge(input: {source: [1], destination: 1}) { id }",
            "destination scene cannot be in source list",
        ),
        ("sceneUpdate(input: {id: 1, primary_file_id: 2}) { id }", "not associated with scene"),
        ("sceneCreate(input: {file_ids: [1]}) { id }", "already assigned to a scene"),
        ("sceneAssignFile(input: {scene_id: 99, file_id: 1})", "scene with id 99 not found"),
        ('sceneUpdate(input: {id: 1, cover_image: "not base64!"}) { id }', "processing image"),
        ("scenesDestroy(input: {ids: [1, 1]})", "scene with id 1 not found"),
        ("tagsMerge(input: {source: [2, 2], destination: 1}) { id }", "tag with id 2 not found"),
        ("tagDestroy(input: {id: 9})", "tag with id 9 not found"),
        ("sceneMarkerDestroy(id: 9)", "scene marker with id 9 not found"),
        ('moveFiles(input: {ids: [1], destination_basename: "second.mp4"})', "already exists"),
        ("moveFiles(input: {ids: [1]})", "must specify destination"),
        ("deleteFiles(ids: [1])", "cannot delete primary file"),
        ('fileSetFingerprints(input: {id: 1, fingerprints: [{type: "md5", value: "x"}]})', "disallowed"),
        ('execSQL(sql: "nonsense") { rows_affected }', "syntax error"),
    ],
)
def test_refusals(stash, mutation, words):
    before = stash.handle.state()
    answer = stash.post(f"mutation {{ found: {mutation} }}").json
    assert words in answer["errors"][0]["message"] and answer["errors"][0]["path"] == ["found"]
    assert stash.handle.state() == before


def test_a_performer_of_the_same_name_needs_a_disambiguation(stash):
    made = change(stash, 'performerCreate(input: {name: "Ada Keller", disambiguation: "the other"}) { id }')
    assert made == {"id": "3"}


def test_groups_within_groups(stash):
    for name in "BCD":
        change(stash, f'groupCreate(input: {{name: "{name}"}}) {{ id }}')
    given = '{containing_group_id: 1, sub_groups: [{group_id: 2, description: "two"}, {group_id: 3}]}'
    assert change(stash, f"addGroupSubGroups(input: {given})") is True
    change(
        stash,
        "addGroupSubGroups(input: {containing_group_id: 1, sub_groups: [{group_id: 4}], insert_index: 0})",
    )
    fields = "sub_groups { group { name } description } sub_group_count"
    assert find(stash, f"findGroup(id: 1) {{ {fields} }}") == {
        "sub_groups": [
            {"group": {"name": "D"}, "description": None},
            {"group": {"name": "B"}, "description": "two"},
            {"group": {"name": "C"}, "description": None},
        ],
        "sub_group_count": 3,
    }
    change(
        stash,
        "reorderSubGroups(input: {group_id: 1, sub_group_ids: [4], insert_at_id: 3, insert_after: true})",
    )
    assert [item for item, _ in stash.instance.catalog.rows["group"][1].sub_group_links] == [2, 3, 4]
    change(stash, "removeGroupSubGroups(input: {containing_group_id: 1, sub_group_ids: [3]})")
    found = find(stash, "findGroup(id: 2) { containing_groups { group { id } description } }")
    assert found == {"containing_groups": [{"group": {"id": "1"}, "description": "two"}]}
    query = "findGroups(group_filter: {containing_groups: {value: [1], modifier: INCLUDES}}) { count }"
    assert find(stash, query) == {"count": 2}
    query = (
        "findGroups(group_filter: {sub_group_count: {value: 0, modifier: GREATER_THAN}}) { groups { id } }"
    )
    assert find(stash, query) == {"groups": [{"id": "1"}]}


def test_histories(stash):
    times = '["2024-01-02T03:04:05+02:00", "2024-05-01T00:00:00Z"]'
    assert change(stash, f"sceneAddPlay(id: 1, times: {times}) {{ count history }}") == {
        "count": 2,
        "history": ["2024-05-01T00:00:00Z", "2024-01-02T01:04:05Z"],
    }
    assert change(stash, "sceneDeletePlay(id: 1) { count history }")["history"] == ["2024-01-02T01:04:05Z"]
    assert change(stash, 'sceneAddO(id: 1, times: ["2024-01-01T00:00:00Z"]) { count }') == {"count": 1}
    assert change(stash, "sceneIncrementO(id: 1)") == 2
    assert change(stash, "sceneDecrementO(id: 1)") == 1
    assert change(stash, 'sceneDeleteO(id: 1, times: ["2024-01-01T00:00:00Z"]) { count }') == {"count": 0}
    assert change(stash, "sceneResetO(id: 1)") == 0
    assert change(stash, "sceneResetPlayCount(id: 1)") == 0
    change(stash, "sceneSaveActivity(id: 1, resume_time: 5.5, playDuration: 2)")
    change(stash, "sceneSaveActivity(id: 1, playDuration: 2.25)")
    assert find(stash, "findScene(id: 1) { resume_time play_duration }") == {
        "resume_time": 5.5,
        "play_duration": 4.25,
    }


def test_markers_in_bulk_and_their_lists(stash):
    for title, tag in (("a", 1), ("b", 2), ("b", 2)):
        given = f'{{title: "{title}", seconds: 1, end_seconds: 4, scene_id: 1, primary_tag_id: {tag}}}'
        change(stash, f"sceneMarkerCreate(input: {given}) {{ id }}")
    change(
        stash,
        'bulkSceneMarkerUpdate(input: {ids: [1, 2], tag_ids: {mode: SET, ids: [2]}, title: "z"}) { id }',
    )
    assert find(stash, "allSceneMarkers { title tags { id } }")[1] == {"title": "z", "tags": [{"id": "2"}]}
    assert find(stash, 'markerStrings(sort: "count") { title count }')[0] == {"title": "z", "count": 2}
    groups = find(stash, "sceneMarkerTags(scene_id: 1) { tag { name } scene_markers { id } }")
    assert [(group["tag"]["name"], len(group["scene_markers"])) for group in groups] == [
        ("Outdoor", 1),
        ("Beach", 2),
    ]
    assert find(stash, "findTag(id: 2) { scene_marker_count }") == {"scene_marker_count": 3}
    assert len(find(stash, 'markerWall(q: "z") { id }')) == 2
    query = "findSceneMarkers(scene_marker_filter: {duration: {value: 2, modifier: GREATER_THAN}}) { count }"
    assert find(stash, query) == {"count": 3}
    assert change(stash, "sceneMarkersDestroy(ids: [1, 2])") is True
    assert find(stash, "findScene(id: 1) { scene_markers { id } }") == {"scene_markers": [{"id": "3"}]}


def test_galleries_and_images(stash):
    catalog = stash.instance.catalog
    for number in (1, 2):
        file = catalog.add_file(f"/i/{number}.png", {"media": "image"})
        catalog.add("image", {"file_ids": [file.id]})
    change(stash, 'galleryCreate(input: {title: "G"}) { id }')
    change(stash, "addGalleryImages(input: {gallery_id: 1, image_ids: [1, 2]})")
    assert find(stash, "findGallery(id: 1) { cover { id } image_count image(index: 1) { id } }") == {
        "cover": {"id": "1"},
        "image_count": 2,
        "image": {"id": "2"},
    }
    change(stash, "setGalleryCover(input: {gallery_id: 1, cover_image_id: 2})")
    assert find(stash, "findGallery(id: 1) { cover { id } }") == {"cover": {"id": "2"}}
    change(stash, "resetGalleryCover(input: {gallery_id: 1})")
    change(stash, 'galleriesUpdate(input: [{id: 1, title: "H", scene_ids: [1, 2]}]) { id }')
    assert [stash.scene(number).gallery_ids for number in (1, 2, 3)] == [[1], [1], []]
    change(stash, "bulkGalleryUpdate(input: {ids: [1], scene_ids: {mode: REMOVE, ids: [2]}}) { id }")
    assert stash.scene(2).gallery_ids == []
    assert [
        change(stash, f"image{verb}O(id: 1)") for verb in ("Increment", "Increment", "Decrement", "Reset")
    ] == [
        1,
        2,
        1,
        0,
    ]
    change(stash, 'imagesUpdate(input: [{id: 1, title: "one"}, {id: 2, gallery_ids: []}]) { id }')
    assert find(stash, "allImages { title galleries { id } }") == [
        {"title": "one", "galleries": [{"id": "1"}]},
        {"title": "", "galleries": []},
    ]
    change(stash, 'galleryChapterCreate(input: {gallery_id: 1, title: "c", image_index: 1}) { id }')
    assert change(stash, "galleryChapterDestroy(id: 1)") is True
    assert find(stash, "findImages { count megapixels }") == {"count": 2, "megapixels": 4.1472}


def test_files_and_folders(stash):
    assert find(
        stash, 'findFile(path: "/data/a/first.mp4") { __typename id ... on VideoFile { duration } }'
    ) == {
        "__typename": "VideoFile",
        "id": "1",
        "duration": 60,
    }
    assert stash.post('{ findFile(path: "/nope") { id } }').json["data"] is None
    where = '{dir: {value: "/data/a", modifier: EQUALS}}'
    assert find(stash, f"findFiles(file_filter: {where}) {{ count files {{ basename }} }}") == {
        "count": 2,
        "files": [{"basename": "first.mp4"}, {"basename": "second.mp4"}],
    }
    folder = find(stash, 'findFolder(path: "/data/a") { id parent_folder { path } }')
    assert folder["parent_folder"] == {"path": "/data"}
    change(stash, f"moveFiles(input: {{ids: [3], destination_folder_id: {folder['id']}}})")
    assert find(stash, "findScene(id: 3) { files { path } }") == {"files": [{"path": "/data/a/third.mp4"}]}
    assert find(
        stash, 'findFolders(folder_filter: {path: {value: "/data", modifier: EQUALS}}) { count }'
    ) == {"count": 1}
    assert find(stash, 'findScenesByPathRegex(filter: {q: "(?i)FIRST"}) { scenes { id } }') == {
        "scenes": [{"id": "1"}]
    }
    assert find(stash, "sceneStreams(id: 1) { url label }")[0]["url"].endswith("/scene/1/stream")


def test_everything_at_once(stash):
    names = {"Scenes": 4, "Performers": 2, "Tags": 2, "Studios": 2, "Galleries": 0}
    found = stash.ask("{" + " ".join(f"all{name} {{ id }}" for name in names) + " sceneWall { id } }")
    assert {name: len(found[f"all{name}"]) for name in names} == names
    assert len(found["sceneWall"]) == 4
    assert (
        find(stash, "stats { scene_count performer_count scenes_size scenes_duration }")["scene_count"] == 4
    )


def test_server_questions(stash):
    assert find(stash, "version { version hash }") == {
        "version": "v0.30.1-37-gcf3489efd",
        "hash": "cf3489efd",
    }
    assert find(stash, "systemStatus { status databaseSchema appSchema }")["status"] == "OK"
    assert find(stash, "plugins { id }") is None and find(stash, "pluginTasks { name }") is None
    stash.plugin("Echo", yml="tasks:\n  - name: T\n    description: d\n")
    assert find(stash, "pluginTasks { name description plugin { id name } }") == [
        {"name": "T", "description": "d", "plugin": {"id": "Echo", "name": "Echo"}}
    ]
    change(stash, 'runPluginOperation(plugin_id: "Echo", args: {})')
    entry = find(stash, "logs { level message time }")[0]
    assert (entry["level"], entry["message"]) == ("Info", "[Plugin / Echo] seen") and "T" in entry["time"]


def test_configuration_of_all_sorts(stash):
    assert change(
        stash,
        'configureInterface(input: {language: "de-DE", imageLightbox: {slideshowDelay: 9}}) { language }',
    )
    found = find(
        stash,
        "configuration { interface { language wallShowTitle imageLightbox { slideshowDelay scaleUp } } }",
    )
    assert found["interface"] == {
        "language": "de-DE",
        "wallShowTitle": True,
        "imageLightbox": {"slideshowDelay": 9, "scaleUp": False},
    }
    change(stash, 'configureScraping(input: {scraperUserAgent: "me"}) { scraperUserAgent }')
    change(
        stash,
        "configureDefaults(input: {scan: {scanGeneratePhashes: true}, deleteFile: true}) { deleteFile }",
    )
    found = find(
        stash,
        "configuration { scraping { scraperUserAgent } defaults { scan { scanGeneratePhashes rescan } } }",
    )
    assert found == {
        "scraping": {"scraperUserAgent": "me"},
        "defaults": {"scan": {"scanGeneratePhashes": True, "rescan": False}},
    }
    assert change(stash, "configureUI(input: {a: 1})") == {"a": 1}
    assert change(stash, "configureUI(partial: {b: 2})") == {"a": 1, "b": 2}
    assert change(stash, 'configureUISetting(key: "c", value: [1, "x"])') == {"a": 1, "b": 2, "c": [1, "x"]}
    assert find(stash, "configuration { ui }") == {"ui": {"a": 1, "b": 2, "c": [1, "x"]}}


def test_the_plugins_folder_can_be_another(stash, tmp_path):
    stash.plugin("Here")
    other = tmp_path / "other" / "There"
    other.mkdir(parents=True)
    (other / "There.yml").write_text("name: There\n")
    change(stash, f'configureGeneral(input: {{pluginsPath: "{tmp_path / "other"}"}}) {{ pluginsPath }}')
    assert find(stash, "plugins { id }") == [{"id": "There"}]


def test_the_log_s_level_can_be_another(stash):
    stash.plugin("Bad", script="print('fine')", triggers="Scene.Update.Post")
    change(stash, "sceneUpdate(input: {id: 1}) { id }")
    assert not any(line.startswith("Debug") for line in stash.logged())
    change(stash, 'configureGeneral(input: {logLevel: "Debug"}) { logLevel }')
    change(stash, "sceneUpdate(input: {id: 1}) { id }")
    wait_for(lambda: any("Scene.Update.Post [Bad]: returned: fine" in line for line in stash.logged()))


def filter_keys() -> list[tuple[str, str]]:
    kinds = [
        "Scene",
        "Performer",
        "Studio",
        "Tag",
        "Group",
        "Gallery",
        "Image",
        "SceneMarker",
        "File",
        "Folder",
    ]
    types = make_engine().schema.type_map
    return [(kind, key) for kind in kinds for key in types[f"{kind}FilterType"].fields]


SAMPLES = {
    "IntCriterionInput": {"value": 1, "modifier": "GREATER_THAN"},
    "FloatCriterionInput": {"value": 1, "modifier": "GREATER_THAN"},
    "StringCriterionInput": {"value": "x", "modifier": "INCLUDES"},
    "MultiCriterionInput": {"value": [1], "modifier": "INCLUDES"},
    "HierarchicalMultiCriterionInput": {"value": [1], "modifier": "INCLUDES", "depth": -1},
    "TimestampCriterionInput": {"value": "2020", "modifier": "GREATER_THAN"},
    "DateCriterionInput": {"value": "2020", "modifier": "GREATER_THAN"},
    "StashIDCriterionInput": {"stash_id": "x", "modifier": "EQUALS"},
    "ResolutionCriterionInput": {"value": "LOW", "modifier": "EQUALS"},
    "OrientationCriterionInput": {"value": ["SQUARE"]},
    "GenderCriterionInput": {"value": "MALE", "modifier": "EQUALS"},
    "CircumcisionCriterionInput": {"value": ["CUT"], "modifier": "INCLUDES"},
    "PHashDuplicationCriterionInput": {"duplicated": True},
    "PhashDistanceCriterionInput": {"value": "ff", "modifier": "EQUALS", "distance": 3},
    "CustomFieldCriterionInput": [{"field": "f", "value": ["x"], "modifier": "EQUALS"}],
    "FingerprintFilterInput": [{"type": "oshash", "value": "x"}],
    "VideoFileFilterInput": {"duration": {"value": 1, "modifier": "LESS_THAN"}},
    "ImageFileFilterInput": {"orientation": {"value": ["SQUARE"]}},
    "Boolean": True,
    "String": "title",
}


@pytest.mark.parametrize(("kind", "key"), filter_keys())
def test_every_filter_is_imitated(filled, kind, key):
    """Each can be asked, and its opposite finds the others."""
    type_ = make_engine().schema.type_map[f"{kind}FilterType"].fields[key].type
    while hasattr(type_, "of_type"):
        type_ = type_.of_type
    value = SAMPLES.get(type_.name, {})
    what = {"SceneMarker": "marker"}.get(kind, kind.lower())
    finder = filled.instance.finder
    everything = list(filled.instance.catalog.rows[what])
    found, others = (
        [row.id for row in finder.find(what, given, {"per_page": -1}).rows]
        for given in ({key: value}, {"NOT": {key: value}})
    )
    assert everything and not set(found) & set(others)
    if type_.name in ("Boolean", "String", "StringCriterionInput", "MultiCriterionInput"):
        assert sorted(found + others) == everything  # elsewhere a missing value is on neither side


def test_filters_through_relations(filled):
    def performers(given: str) -> list[str]:
        found = find(filled, f"findPerformers(performer_filter: {given}) {{ performers {{ name }} }}")
        return [row["name"] for row in found["performers"]]

    assert performers("{studios: {value: [1], modifier: INCLUDES}}") == ["Ada Keller", "Béa Ito"]
    assert performers("{performers: {value: [2], modifier: INCLUDES}}") == ["Ada Keller"]
    assert performers("{groups: {value: [1], modifier: INCLUDES}}") == ["Ada Keller", "Béa Ito"]
    assert performers("{play_count: {value: 0, modifier: GREATER_THAN}}") == ["Ada Keller", "Béa Ito"]
    assert performers("{age: {value: 20, modifier: GREATER_THAN}}") == ["Ada Keller"]
    assert performers('{custom_fields: [{field: "eye", value: ["left"], modifier: EQUALS}]}') == ["Béa Ito"]
    aged = "{performer_age: {value: 24, modifier: EQUALS}}"
    assert find(filled, f"findScenes(scene_filter: {aged}) {{ count }}") == {"count": 1}
    near = '{phash_distance: {value: "f0", distance: 1, modifier: EQUALS}}'
    assert find(filled, f"findScenes(scene_filter: {near}) {{ scenes {{ id }} }}") == {
        "scenes": [{"id": "1"}]
    }
    assert find(
        filled, "findTags(tag_filter: {children: {value: [2], modifier: INCLUDES}}) { tags { id } }"
    ) == {"tags": [{"id": "1"}]}
    hashes = '{hashes: [{type: "phash", value: "f1", distance: 0}]}'
    assert find(filled, f"findFiles(file_filter: {hashes}) {{ files {{ id }} }}") == {"files": [{"id": "1"}]}


def test_pictures_by_url(stash):
    source = f"{stash.url}/scene/1/screenshot"
    assert change(stash, f'sceneUpdate(input: {{id: 2, cover_image: "{source}"}}) {{ id }}') == {"id": "2"}
    assert stash.scene(2).cover.startswith(b"<svg")
    answer = stash.post(
        'mutation { sceneUpdate(input: {id: 2, cover_image: "http://127.0.0.1:9/x"}) { id } }'
    ).json
    assert answer["errors"][0]["message"].startswith("processing image")
