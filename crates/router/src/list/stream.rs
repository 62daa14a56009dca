//! A list of any length, page after page.

use cellzero_types::{Instance, ListQuery, RequestContext};
use futures_util::stream::{self, Stream, StreamExt as _, TryStreamExt as _};

use crate::{ReadError, Router};

/// How many instances a page of a stream has.
const STREAM_PAGE: u32 = 500;

impl Router {
    /// All instances of a query, in order, in the memory of one page. The limit of the query does
    /// not count, and each page has the whole time of `ctx`. Instances of cells that do not answer
    /// stand at their places with [`Instance::known_at`]; those that a filter leaves out are
    /// missing, as they are on a page.
    ///
    /// # Errors
    /// Those of [`Router::list`]; the stream ends there.
    pub fn list_stream(
        &self,
        ctx: &RequestContext,
        query: &ListQuery,
    ) -> impl Stream<Item = Result<Instance, ReadError>> + Send + use<> {
        let (router, ctx) = (self.clone(), ctx.clone());
        let first = Some(query.clone().limit(STREAM_PAGE));
        let pages = stream::try_unfold(first, move |query| {
            let (router, ctx) = (router.clone(), ctx.clone());
            async move {
                let Some(query) = query else { return Ok::<_, ReadError>(None) };
                let page = router.list(&ctx, &query).await?;
                let rest = page.next.map(|next| query.after(next));
                Ok(Some((page.instances, rest)))
            }
        });
        pages.map_ok(|page| stream::iter(page).map(Ok)).try_flatten()
    }
}
