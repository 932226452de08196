"""Hydra calls this plugin before it composes: the study's experiments become choices like the files of conf/."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

import kenyan13.study.naming  # noqa: F401 (checks the names after each composition)
from kenyan13.study.definitions import register_experiments
from kenyan13.training.device_sharing import runs_at_once


class StudyExperiments(SearchPathPlugin):
    """Registers them, and what the launchers' presets ask for; the search path stays as it is."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Register."""
        register_experiments()
        OmegaConf.register_new_resolver("runs_at_once", runs_at_once, use_cache=True, replace=True)
