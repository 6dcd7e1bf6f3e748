"""The table of channels: every name has its row, and what a row says is something that calibration and bundle have."""

from __future__ import annotations

import pytest

from calibration.memory.channel_memory import PROJECTIONS
from calibration.scoring.view_scoring import MEMORIES
from edge_agent.inspection.bundle.arrays import MOST_MEMBERS
from edge_agent.inspection.bundle.manifest import FILES, OPTIONAL_FILES
from edge_agent.inspection.networks.channels import (
    CHANNELS,
    Channel,
    NetworkFile,
    Picture,
    View,
    Voice,
    channels_for,
    hears_autoencoder,
    views_for,
)

_ARRAYS_OF_A_VIEW = 5
_MIB = 1 << 20


def test_every_name_has_a_row_and_no_two_channels_have_one_name() -> None:
    assert [*CHANNELS] == [*Channel, *View]


@pytest.mark.parametrize("channel", Channel)
def test_a_row_of_the_local_score_is_learned_in_a_way_that_it_has(channel: Channel) -> None:
    assert CHANNELS[channel].projection in PROJECTIONS
    assert 0.0 < CHANNELS[channel].weight <= 1.0
    assert not CHANNELS[channel].instead_of


@pytest.mark.parametrize("view", View)
def test_a_row_of_the_mean_of_views_is_learned_in_a_way_that_it_has(view: View) -> None:
    assert CHANNELS[view].projection in MEMORIES
    assert CHANNELS[view].weight in {0.0, 1.0}  # the mean knows no halves
    assert CHANNELS[view].instead_of in {"", *(other for other in View if CHANNELS[other].weight and other is not view)}


def test_every_network_that_a_row_names_is_a_file_of_a_bundle_and_only_brightness_needs_none() -> None:
    assert {*NetworkFile} - {NetworkFile.NONE} <= {*FILES, *OPTIONAL_FILES}
    without = {name for name, spec in CHANNELS.items() if spec.network is NetworkFile.NONE}
    assert without == {name for name, spec in CHANNELS.items() if spec.view is Picture.TONE}


def test_a_line_pc_has_the_memory_and_a_bundle_the_arrays_for_all_of_them_at_once() -> None:
    assert sum(CHANNELS[channel].bound for channel in Channel) < 300 * _MIB
    assert _ARRAYS_OF_A_VIEW * len(View) <= MOST_MEMBERS


def test_a_small_part_is_seen_once_and_nobody_speaks_whom_nobody_asked() -> None:
    assert all(not CHANNELS[channel].large_only for channel in channels_for(200, 200))
    assert channels_for(2000, 200) == tuple(Channel)
    assert views_for(200, 200, [Voice.IMAGE]) == (View.NATIVE,)
    assert views_for(2000, 200, []) == ()


def test_the_autoencoder_is_heard_where_a_row_shows_what_it_made() -> None:
    assert {name for name in CHANNELS if hears_autoencoder([name])} == {"perceptual", "map", "autoencoder"}
    assert not hears_autoencoder([])
