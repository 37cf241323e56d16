//! Saved views: who may keep, share and change them, one way for pages and the API. A view is the address of a list:
//! what it asks for is read anew each time that it is opened, and what the list no longer knows is said.
//!
//! Refuses to know SQL, and what a list shows.

use super::error::{AppError, Code, FieldError};
use super::list_pages::{self, ListPage};
use super::principal::{Principal, Scope};
use crate::app::App;
use rand::RngExt as _;
use rolecall_store::{MOST_VIEWS, SavedView, ViewKept, ViewStep};

/// The longest name, in characters.
pub(crate) const NAME: usize = 100;
/// So much of a name goes into its short address.
const SLUG: usize = 40;
/// So many letters tell views of one name apart.
const LETTERS: usize = 6;

/// A view as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) name: String,
    /// Path and query of the list.
    pub(super) address: String,
    pub(super) shared: bool,
}

fn fault(parameter: &str, message: impl Into<String>) -> AppError {
    let fault = FieldError { parameter: parameter.to_owned(), message: message.into() };
    AppError::of_fields(Code::InvalidParameter, vec![fault])
}

fn name(given: &str) -> Result<String, AppError> {
    let name = given.trim();
    let is_good = !name.is_empty() && name.chars().count() <= NAME && !name.chars().any(char::is_control);
    if is_good { Ok(name.to_owned()) } else { Err(fault("name", format!("`name` has 1 to {NAME} visible characters"))) }
}

/// The list of an address, and its query in canonical form.
fn list(path: &str, query: &str) -> Result<(&'static ListPage, String), AppError> {
    let known = || list_pages::ALL.into_iter();
    let Some(page) = known().find(|page| page.path == path) else {
        let all: Vec<&str> = known().map(|page| page.path).collect();
        let given: String = path.chars().take(60).collect();
        return Err(fault("address", format!("`address`: `{given}` is no list; lists are {}", all.join(", "))));
    };
    Ok((page, page.parse(Some(query))?.without("cursor").query()))
}

/// The short address of a view.
pub(super) fn short_address(view: &SavedView) -> String {
    format!("/v/{}", view.slug)
}

/// How the list of a view is called; its path where there is no such list any more.
pub(super) fn list_name(view: &SavedView) -> String {
    let page = list_pages::ALL.into_iter().find(|page| page.path == view.path);
    page.map_or_else(|| view.path.clone(), |page| page.name.to_owned())
}

/// The address that a view leads to.
///
/// # Errors
/// Where the list no longer knows what the view asks for: the list would be another one than was saved.
pub(super) fn address(view: &SavedView) -> Result<String, AppError> {
    let (page, query) = list(&view.path, &view.query).map_err(|mut error| {
        error.detail = format!(
            "the saved view “{}” asks for what its list no longer knows: {}. Save the list anew, and delete this view \
             under /settings/views",
            view.name, error.detail
        );
        // The sentence says it all; a page would show the single faults in its place.
        error.errors.clear();
        error
    })?;
    Ok(if query.is_empty() { page.path.to_owned() } else { format!("{}?{query}", page.path) })
}

/// The part of a short address that follows from a name.
fn slug(name: &str) -> String {
    let mut slug = String::new();
    for letter in name.chars().flat_map(char::to_lowercase) {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(SLUG);
    let slug = slug.trim_end_matches('-');
    let mut rng = rand::rng();
    let letters: String = (0..LETTERS).map(|_| char::from(rng.random_range(b'a'..=b'z'))).collect();
    format!("{}-{letters}", if slug.is_empty() { "view" } else { slug })
}

fn may_share(who: &Principal) -> Result<(), AppError> {
    if who.may(Scope::FindingsTriage) {
        return Ok(());
    }
    let detail =
        format!("to give a view to everybody needs the scope `{}`; save it for yourself", Scope::FindingsTriage);
    Err(AppError::new(Code::Forbidden, detail))
}

/// Keeps a view.
///
/// # Errors
/// Where it is refused, or the database fails.
pub(super) async fn save(app: &App, asked: Asked, who: &Principal) -> Result<SavedView, AppError> {
    let name = name(&asked.name)?;
    let (path, query) = asked.address.split_once('?').unwrap_or((&asked.address, ""));
    let (page, query) = list(path, query)?;
    if asked.shared {
        may_share(who)?;
    }
    let now = app.now().await?;
    let view = SavedView {
        slug: slug(&name),
        name,
        owner: who.label(),
        path: page.path.to_owned(),
        query,
        shared: asked.shared,
        created_at: now,
        updated_at: now,
    };
    kept(who.store(app).create_saved_view(&view).await?, &view.slug, &view.name)?;
    // As it is kept: the database's times have microseconds.
    Ok(app.store.saved_view(&view.slug, &view.owner).await?.unwrap_or(view))
}

/// Takes a step with a view: one's own; of those that everybody has, anybody's for who administers.
///
/// # Errors
/// Where it is refused, or the database fails.
pub(super) async fn change(app: &App, slug: &str, step: ViewStep, who: &Principal) -> Result<(), AppError> {
    let step = match step {
        ViewStep::Rename(given) => ViewStep::Rename(name(&given)?),
        ViewStep::Share(true) => {
            may_share(who)?;
            step
        }
        ViewStep::Share(false) | ViewStep::Delete => step,
    };
    let called = if let ViewStep::Rename(name) = &step { name.clone() } else { String::new() };
    let (store, person, now) = (who.store(app), who.label(), app.now().await?);
    kept(store.change_saved_view(slug, &person, who.may(Scope::Admin), &step, now).await?, slug, &called)
}

fn kept(kept: ViewKept, slug: &str, name: &str) -> Result<(), AppError> {
    match kept {
        ViewKept::Done => Ok(()),
        ViewKept::NotThere => Err(AppError::not_found(format!("saved view `{slug}`, as one of yours,"))),
        ViewKept::NameTaken => {
            let detail = format!("you have a view of the name “{name}”; take another name, or delete that view");
            Err(AppError::new(Code::Conflict, detail))
        }
        ViewKept::TooMany => {
            let detail = format!("you have {MOST_VIEWS} saved views, and cannot have more; delete one");
            Err(AppError::new(Code::Conflict, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_address_says_the_name_and_nothing_that_an_address_cannot() {
        for (name, begins) in [
            ("Overdue criticals", "overdue-criticals-"),
            ("  Über  alles!", "ber-alles-"),
            ("日本", "view-"),
            (&"x y ".repeat(40), "x-y-x-y-x-y-x-y-x-y-x-y-x-y-x-y-x-y-x-y-"),
        ] {
            let made = slug(name);
            assert!(made.starts_with(begins) && made.len() == begins.len() + LETTERS, "{made}");
        }
    }

    #[test]
    fn an_address_is_that_of_a_list_with_what_the_list_knows() {
        assert_eq!(list("/findings", "severity=high,critical&cursor=x").unwrap().1, "severity=critical,high");
        assert_eq!(list("/accounts", "").unwrap().1, "");
        for (path, query, said) in [
            ("/finding", "", "is no list; lists are /findings"),
            ("/findings", "severty=high", "did you mean `severity`?"),
            ("/findings", "severity=hihg", "did you mean `high`?"),
            ("//evil.example", "", "is no list"),
        ] {
            let refused = list(path, query).unwrap_err();
            assert!(refused.detail.contains(said), "{}", refused.detail);
        }
    }
}
