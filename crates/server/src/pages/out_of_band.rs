//! The page that shows a code to be copied by hand (`urn:ietf:wg:oauth:2.0:oob`).

use askama::Template;

use super::layout::Layout;
use super::name::Name;

#[derive(Template)]
#[template(path = "out_of_band.html")]
pub struct OutOfBand<'a> {
    pub layout: &'a Layout,
    pub client_name: Name,
    pub code: &'a str,
}

impl OutOfBand<'_> {
    fn title(&self) -> String {
        self.layout.messages.out_of_band.title.plain(&self.client_name)
    }
}
