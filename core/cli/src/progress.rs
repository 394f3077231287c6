//! The bar that shows how far long work is: on a terminal only, on the standard error stream.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar up to `total`; `what` says what is counted.
pub(crate) fn bar(total: u64, what: &'static str) -> ProgressBar {
    // Hidden by itself where the stream is no terminal.
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    let template = "{prefix} [{bar:40}] {pos}/{len}, {eta} left {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(what);
    bar
}
