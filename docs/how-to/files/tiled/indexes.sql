-- For searches of Tiled by ranges of numbers: Key("novelty_p") <= 0.01. One for each name that people search by.
CREATE INDEX IF NOT EXISTS results_run_time ON nodes (parent, (metadata #> '{run_time}'));
CREATE INDEX IF NOT EXISTS results_novelty_p ON nodes (parent, (metadata #> '{novelty_p}'));
CREATE INDEX IF NOT EXISTS results_tau_s ON nodes (parent, (metadata #> '{tau_s}'));
CREATE INDEX IF NOT EXISTS results_stress_last ON nodes (parent, (metadata #> '{stress_last}'));
CREATE INDEX IF NOT EXISTS results_sample_x ON nodes (parent, (metadata #> '{sample_x}'));
CREATE INDEX IF NOT EXISTS results_sample_y ON nodes (parent, (metadata #> '{sample_y}'));
-- For the pages and tables of ainerd, which ask for the nodes written since a time.
CREATE INDEX IF NOT EXISTS nodes_time_updated ON nodes (time_updated);
CREATE INDEX IF NOT EXISTS nodes_parent_id ON nodes (parent, id);
VACUUM ANALYZE nodes;
