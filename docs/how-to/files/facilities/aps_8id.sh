#!/bin/sh
# Correlate an acquisition with boost_corr, and give its two-time maps to ainerd:
#   sh aps_8id.sh RAW QMAP FOLDER SETTINGS
# FOLDER, which receives the results, must be inside one of storage.frames.
set -eu
raw=$1 qmap=$2 folder=$3 settings=$4
boost_corr_bin -r "$raw" -q "$qmap" -t Both -o "$folder" -w
ainerd watch --config "$settings" --source "results:$folder" --once
