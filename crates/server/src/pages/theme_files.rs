//! Stylesheet, logo and favicon of one's own (`frontend.dir`).

/// The files of `frontend.dir`, held in memory.
#[derive(Clone, Debug, Default)]
pub struct ThemeFiles {
    pub styles: Option<Vec<u8>>,
    pub logo: Option<Vec<u8>>,
    pub favicon: Option<Vec<u8>>,
}

pub const STYLES: &str = "styles.css";
pub const LOGO: &str = "logo.png";
pub const FAVICON: &str = "favicon.png";

impl ThemeFiles {
    /// A file by its name at `/theme/`, with its content type.
    pub fn find(&self, name: &str) -> Option<(&[u8], &'static str)> {
        let (bytes, content_type) = match name {
            STYLES => (&self.styles, "text/css; charset=utf-8"),
            LOGO => (&self.logo, "image/png"),
            FAVICON => (&self.favicon, "image/png"),
            _ => return None,
        };
        Some((bytes.as_deref()?, content_type))
    }
}
