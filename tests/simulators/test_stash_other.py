"""Movies, saved filters, DLNA, folders and the rest that plugins meet in passing: each by its result."""

import pytest
from stash_world import wait_for, world
from test_stash_operations import change, find


@pytest.fixture
def stash(tmp_path):
    with world(tmp_path, seed=2) as found:
        yield found


def test_a_movie_is_a_group_by_its_old_name(stash):
    stash.plugin("Echo", triggers="Movie.Create.Post, Group.Create.Post")
    made = change(stash, 'movieCreate(input: {name: "Night Rides", director: "D"}) { id name director }')
    assert made == {"id": "2", "name": "Night Rides", "director": "D"}
    assert [run["trigger"] for run in stash.runs()] == ["Group.Create.Post", "Movie.Create.Post"]
    assert find(stash, "findGroup(id: 2) { name }") == find(stash, "findMovie(id: 2) { name }")
    assert change(stash, 'movieUpdate(input: {id: 2, synopsis: "s"}) { synopsis }') == {"synopsis": "s"}
    assert (
        change(stash, "bulkMovieUpdate(input: {ids: [1, 2], rating100: 60}) { rating100 }")
        == [{"rating100": 60}] * 2
    )
    found = find(
        stash,
        'findMovies(movie_filter: {director: {value: "D", modifier: EQUALS}}) { count movies { name } }',
    )
    assert found == {"count": 1, "movies": [{"name": "Night Rides"}]}
    assert find(stash, "allMovies { scene_count }") == [{"scene_count": 1}, {"scene_count": 0}]
    assert change(stash, "movieDestroy(input: {id: 2})") is True
    assert change(stash, "moviesDestroy(ids: [1])") is True
    assert find(stash, "allMovies { id }") == []


def test_saved_filters(stash):
    wanted = 'find_filter: {sort: "date"}, object_filter: {rating100: {modifier: "IS_NULL"}}'
    given = f'mode: SCENES, name: "Unrated", {wanted}'
    made = change(
        stash, f"saveFilter(input: {{{given}}}) {{ id name mode find_filter {{ sort }} object_filter }}"
    )
    assert made == {
        "id": "1",
        "name": "Unrated",
        "mode": "SCENES",
        "find_filter": {"sort": "date"},
        "object_filter": {"rating100": {"modifier": "IS_NULL"}},
    }
    change(stash, 'saveFilter(input: {mode: TAGS, name: "All"}) { id }')
    assert find(stash, "findSavedFilters(mode: SCENES) { name }") == [{"name": "Unrated"}]
    assert [f["name"] for f in find(stash, "findSavedFilters { name }")] == ["All", "Unrated"]
    change(stash, 'saveFilter(input: {id: 1, mode: SCENES, name: "No stars"}) { id }')
    assert find(stash, "findSavedFilter(id: 1) { name filter }") == {"name": "No stars", "filter": ""}
    assert change(stash, "destroySavedFilter(input: {id: 1})") is True
    assert find(stash, "findSavedFilter(id: 1) { name }") is None
    gone = stash.post("mutation { destroySavedFilter(input: {id: 1}) }").json
    assert gone["errors"][0]["message"] == "filter with id 1 not found" and gone["data"] is None
    assert (
        "non-empty"
        in stash.post('mutation { saveFilter(input: {mode: TAGS, name: ""}) { id } }').json["errors"][0][
            "message"
        ]
    )


def test_default_filters(stash):
    assert find(stash, "findDefaultFilter(mode: SCENES) { id }") is None
    assert change(stash, 'setDefaultFilter(input: {mode: SCENES, find_filter: {sort: "title"}})') is True
    assert find(stash, "findDefaultFilter(mode: SCENES) { find_filter { sort } }") == {
        "find_filter": {"sort": "title"}
    }
    change(stash, "setDefaultFilter(input: {mode: SCENES})")
    assert find(stash, "findDefaultFilter(mode: SCENES) { id }") is None


def test_dlna(stash):
    assert find(stash, "dlnaStatus { running until }") == {"running": False, "until": None}
    assert change(stash, "enableDLNA(input: {duration: 5})") is True
    assert change(stash, 'addTempDLNAIP(input: {address: "10.0.0.5"})') is True
    status = find(stash, "dlnaStatus { running until allowedIPAddresses { ipAddress until } }")
    assert status["running"] and status["until"]
    assert status["allowedIPAddresses"] == [{"ipAddress": "10.0.0.5", "until": None}]
    assert change(stash, 'removeTempDLNAIP(input: {address: "10.0.0.5"})') is True
    assert change(stash, 'removeTempDLNAIP(input: {address: "10.0.0.5"})') is False
    assert change(stash, "disableDLNA(input: {})") is True
    assert change(stash, "configureDLNA(input: {port: 99}) { port serverName }") == {
        "port": 99,
        "serverName": "stash",
    }
    assert find(stash, "configuration { dlna { port } }") == {"dlna": {"port": 99}}


def test_folders_of_the_disk(stash):
    assert find(stash, "directory { path parent directories }") == {
        "path": "/",
        "parent": None,
        "directories": ["/data"],
    }
    assert find(stash, 'directory(path: "nowhere") { path }') == {"path": "/"}
    assert find(stash, 'directory(path: "/data/a/nowhere") { path parent directories }') == {
        "path": "/data/a",
        "parent": "/data",
        "directories": [],
    }


def test_versions_boxes_and_migrations(stash):
    assert find(stash, "latestversion { version shorthash }") == {
        "version": "v0.30.1",
        "shorthash": "cf3489efd",
    }
    box = 'endpoint: "https://box.example/graphql", api_key: "k", name: "B"'
    assert find(stash, f"validateStashBoxCredentials(input: {{{box}}}) {{ valid }}") == {"valid": False}
    for name in ("migrateHashNaming", "migrateSceneScreenshots(input: {})", "migrateBlobs(input: {})"):
        assert stash.ended(change(stash, name))["status"] == "FINISHED"
    assert change(stash, "anonymiseDatabase(input: {})") is None
    refused = stash.post(
        "mutation { stashBoxBatchStudioTag(input: {refresh: false, createParent: false}) }"
    ).json
    assert "stash box with endpoint" in refused["errors"][0]["message"]


def test_what_sql_changes(stash):
    def execute(sql: str) -> int:
        return change(stash, f'execSQL(sql: "{sql}") {{ rows_affected }}')["rows_affected"]

    assert find(stash, "findScenes(scene_filter: {tags: {value: [2], modifier: INCLUDES}}) { count }") == {
        "count": 2
    }
    version = change(stash, 'querySQL(sql: "select version, dirty from schema_migrations") { rows }')
    assert version == {"rows": [[75, 0]]}
    assert execute("delete from scenes_tags where tag_id = 2") == 2
    assert (stash.scene(1).tag_ids, stash.scene(3).tag_ids) == ([1], [])
    assert execute("insert into performers_scenes values (2, 3)") == 1
    assert find(stash, "findPerformer(id: 2) { scenes { id } }") == {"scenes": [{"id": "1"}, {"id": "3"}]}
    assert execute("update files set basename = 'new.mp4' where id = 1") == 1
    assert find(stash, "findScene(id: 1) { files { path } }") == {"files": [{"path": "/data/a/new.mp4"}]}
    assert execute("update tags set name = 'Open air' where id = 1") == 1
    assert find(stash, 'findTags(filter: {q: "open"}) { tags { id } }') == {"tags": [{"id": "1"}]}
    assert stash.runs() == []


def test_a_file_a_plugin_renamed_by_itself(tmp_path):
    old, new = tmp_path / "old.mp4", tmp_path / "new.mp4"
    new.write_bytes(b"x")  # renamed on the disk already
    with world(tmp_path, {"scenes": [{"path": str(old)}]}) as found:
        change(found, "execSQL(sql: \"update files set basename = 'new.mp4'\") { rows_affected }")
        assert found.scene(1).file_ids == [1] and list(found.instance.disk) == [str(new)]
        assert found.ended(change(found, "metadataClean(input: {dryRun: false})"))["status"] == "FINISHED"
        assert find(found, "findScene(id: 1) { files { path } }") == {"files": [{"path": str(new)}]}


def test_tags_of_performers_in_a_library_file(tmp_path):
    library = {"performers": [{"name": "Ada", "tags": ["Blonde", "Tall"]}], "scenes": []}
    with world(tmp_path, library) as found:
        assert find(found, "findPerformer(id: 1) { tags { name } }") == {
            "tags": [{"name": "Blonde"}, {"name": "Tall"}]
        }
        assert wait_for(lambda: found.handle.state()["tags"])
