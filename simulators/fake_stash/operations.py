"""Every root field of the schema and the function that answers it."""

import random
from collections.abc import Callable
from typing import Any

from . import configuration as config
from . import library_jobs, packages, scrapers
from . import named_operations as named
from . import other_operations as other
from . import scene_operations as scenes
from . import server_operations as server
from .instance import Call


def everything(kind: str) -> Callable[..., list[Any]]:
    return lambda call: list(call.catalog.rows[kind].values())


def wall(kind: str) -> Callable[..., list[Any]]:
    """Eighty at random of those a search finds."""

    def run(call: Call, q: str | None = None) -> list[Any]:
        rows = call.finder.find(kind, None, {"q": q or "", "per_page": -1}).rows
        random.Random(0).shuffle(rows)
        return rows[:80]

    return run


QUERY: dict[str, Callable[..., Any]] = {
    "findScene": scenes.find_scene,
    "findSceneByHash": scenes.find_scene_by_hash,
    "findScenes": scenes.find_scenes,
    "findScenesByPathRegex": scenes.find_scenes_by_path_regex,
    "findDuplicateScenes": scenes.find_duplicate_scenes,
    "sceneStreams": scenes.scene_streams,
    "findSceneMarkers": scenes.find_markers,
    "sceneMarkerTags": scenes.marker_tags,
    "markerStrings": scenes.marker_strings,
    "markerWall": wall("marker"),
    "sceneWall": wall("scene"),
    "findFile": server.find_file,
    "findFiles": server.find_files,
    "findFolder": server.find_folder,
    "findFolders": server.find_folders,
    "findImage": named.finder("image"),
    "findImages": named.lister("image"),
    "findPerformer": named.finder("performer"),
    "findPerformers": named.lister("performer"),
    "findStudio": named.finder("studio"),
    "findStudios": named.lister("studio"),
    "findGroup": named.finder("group"),
    "findGroups": named.lister("group"),
    "findGallery": named.finder("gallery"),
    "findGalleries": named.lister("gallery"),
    "findTag": named.finder("tag"),
    "findTags": named.lister("tag"),
    "allScenes": everything("scene"),
    "allSceneMarkers": everything("marker"),
    "allImages": everything("image"),
    "allGalleries": everything("gallery"),
    "allPerformers": everything("performer"),
    "allTags": everything("tag"),
    "allStudios": everything("studio"),
    "stats": server.stats,
    "logs": server.logs,
    "listScrapers": scrapers.list_scrapers,
    **{
        f"scrapeSingle{kind.capitalize()}": scrapers.single(kind)
        for kind in ("scene", "performer", "gallery", "group", "movie", "image")
    },
    **{
        f"scrape{kind.capitalize()}URL": scrapers.by_url(kind)
        for kind in ("scene", "performer", "gallery", "group", "movie", "image")
    },
    "scrapeURL": scrapers.any_url,
    "scrapeMultiScenes": scrapers.many,
    "scrapeMultiPerformers": scrapers.many,
    "scrapeSingleStudio": scrapers.of_stash_box,
    "scrapeSingleTag": scrapers.of_stash_box,
    "plugins": server.plugins,
    "pluginTasks": server.plugin_tasks,
    "installedPackages": packages.installed_packages,
    "availablePackages": packages.available_packages,
    "configuration": config.configuration,
    "systemStatus": server.system_status,
    "jobQueue": server.job_queue,
    "findJob": server.find_job,
    "version": server.version,
    "latestversion": other.latest_version,
    "findMovie": named.finder("group"),
    "findMovies": other.find_movies,
    "allMovies": everything("group"),
    "findSavedFilter": other.find_saved_filter,
    "findSavedFilters": other.find_saved_filters,
    "findDefaultFilter": other.find_default_filter,
    "directory": other.directory,
    "dlnaStatus": other.dlna_status,
    "validateStashBoxCredentials": other.no_network,
}

MUTATION: dict[str, Callable[..., Any]] = {
    "sceneCreate": scenes.create,
    "sceneUpdate": scenes.update,
    "sceneMerge": scenes.merge,
    "bulkSceneUpdate": scenes.update_bulk,
    "sceneDestroy": scenes.destroy,
    "scenesDestroy": scenes.destroy_many,
    "scenesUpdate": scenes.update_many,
    "sceneIncrementO": scenes.increment_o,
    "sceneDecrementO": scenes.decrement_o,
    "sceneAddO": scenes.add_o,
    "sceneDeleteO": scenes.delete_o,
    "sceneResetO": scenes.reset_o,
    "sceneSaveActivity": scenes.save_activity,
    "sceneResetActivity": scenes.reset_activity,
    "sceneIncrementPlayCount": scenes.increment_play_count,
    "sceneAddPlay": scenes.add_play,
    "sceneDeletePlay": scenes.delete_play,
    "sceneResetPlayCount": scenes.reset_play_count,
    "sceneGenerateScreenshot": scenes.generate_screenshot,
    "sceneMarkerCreate": scenes.create_marker,
    "sceneMarkerUpdate": scenes.update_marker,
    "bulkSceneMarkerUpdate": scenes.update_markers,
    "sceneMarkerDestroy": scenes.destroy_marker,
    "sceneMarkersDestroy": scenes.destroy_markers,
    "sceneAssignFile": scenes.assign_file,
    "imageUpdate": named.updater("image"),
    "bulkImageUpdate": named.bulk_updater("image"),
    "imageDestroy": named.destroyer("image"),
    "imagesDestroy": named.destroy_images,
    "imagesUpdate": named.list_updater("image"),
    "imageIncrementO": named.image_o(1),
    "imageDecrementO": named.image_o(-1),
    "imageResetO": named.image_o(None),
    "galleryCreate": named.creator("gallery"),
    "galleryUpdate": named.updater("gallery"),
    "bulkGalleryUpdate": named.bulk_updater("gallery"),
    "galleryDestroy": named.destroy_galleries,
    "galleriesUpdate": named.list_updater("gallery"),
    "addGalleryImages": named.add_gallery_images,
    "removeGalleryImages": named.remove_gallery_images,
    "setGalleryCover": named.set_gallery_cover,
    "resetGalleryCover": named.reset_gallery_cover,
    "galleryChapterCreate": named.creator("chapter"),
    "galleryChapterUpdate": named.updater("chapter"),
    "galleryChapterDestroy": named.destroy_chapter,
    **{
        f"{kind}{verb}": make(kind)
        for kind in ("performer", "studio", "group", "tag")
        for verb, make in (
            ("Create", named.creator),
            ("Update", named.updater),
            ("Destroy", named.destroyer),
            ("sDestroy", named.list_destroyer),
        )
    },
    **{
        f"bulk{kind.capitalize()}Update": named.bulk_updater(kind)
        for kind in ("performer", "studio", "group", "tag")
    },
    "movieCreate": named.creator("group"),
    "movieUpdate": named.updater("group"),
    "movieDestroy": named.destroyer("group"),
    "moviesDestroy": named.list_destroyer("group"),
    "bulkMovieUpdate": named.bulk_updater("group"),
    "performerMerge": named.merge_performers,
    "tagsMerge": named.merge_tags,
    "addGroupSubGroups": named.add_sub_groups,
    "removeGroupSubGroups": named.remove_sub_groups,
    "reorderSubGroups": named.reorder_sub_groups,
    "moveFiles": server.move_files,
    "deleteFiles": server.delete_files,
    "fileSetFingerprints": server.set_fingerprints,
    "configureGeneral": config.configure_general,
    "configureInterface": config.configure_interface,
    "configureScraping": config.configure_scraping,
    "configureDefaults": config.configure_defaults,
    "configurePlugin": config.configure_plugin,
    "configureDLNA": other.configure_dlna,
    "enableDLNA": other.set_dlna(True),
    "disableDLNA": other.set_dlna(False),
    "addTempDLNAIP": other.allow_dlna,
    "removeTempDLNAIP": other.forget_dlna,
    "saveFilter": other.save_filter,
    "destroySavedFilter": other.destroy_saved_filter,
    "setDefaultFilter": other.set_default_filter,
    "configureUI": config.configure_ui,
    "configureUISetting": config.configure_ui_setting,
    "generateAPIKey": config.generate_api_key,
    "metadataScan": library_jobs.scan,
    "metadataGenerate": library_jobs.generate,
    "metadataAutoTag": library_jobs.auto_tag,
    "metadataClean": library_jobs.clean,
    "metadataCleanGenerated": library_jobs.clean_generated,
    "metadataIdentify": library_jobs.identify,
    "optimiseDatabase": server.optimise_database,
    "backupDatabase": server.backup_database,
    "anonymiseDatabase": other.anonymise_database,
    "migrateHashNaming": other.migration("Migrating scene hashes..."),
    "migrateSceneScreenshots": other.migration("Migrating scene screenshots to blobs..."),
    "migrateBlobs": other.migration("Migrating blobs..."),
    "stashBoxBatchPerformerTag": other.batch_tag,
    "stashBoxBatchStudioTag": other.batch_tag,
    "querySQL": server.query_sql,
    "execSQL": server.exec_sql,
    "reloadScrapers": scrapers.reload_scrapers,
    "submitStashBoxFingerprints": server.submit_to_stash_box,
    "submitStashBoxSceneDraft": server.submit_to_stash_box,
    "submitStashBoxPerformerDraft": server.submit_to_stash_box,
    "setPluginsEnabled": server.set_plugins_enabled,
    "runPluginTask": server.run_plugin_task,
    "runPluginOperation": server.run_plugin_operation,
    "reloadPlugins": server.reload_plugins,
    "installPackages": packages.install_packages,
    "updatePackages": packages.update_packages,
    "uninstallPackages": packages.uninstall_packages,
    "stopJob": server.stop_job,
    "stopAllJobs": server.stop_all_jobs,
}

# Fields of object types that need more than the row.
OBJECTS: dict[str, dict[str, Callable[..., Any]]] = {"ConfigResult": {"plugins": config.plugin_settings}}
