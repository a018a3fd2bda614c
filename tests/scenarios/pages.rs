//! What every page has in common: how it is drawn, and texts that others chose.

pub mod device_and_clusters_in_chromium;
pub mod example_app;
pub mod example_app_flows;
pub mod in_chromium;
pub mod own_texts;
pub mod own_theme;
pub mod untrusted_text;
