use std::collections::BTreeSet;

use wire::{manifest::Manifest, release::sha256_hex};

use super::{Content, Kind, Release};

/// What an installation of a release is made of. Where nothing of it differs, a shop gets a newer release silently;
/// otherwise its installation must be updated (contracts.md section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surface {
    name: String,
    code: Option<String>,
    address: String,
    icon: Option<String>,
    permissions: BTreeSet<String>,
}

/// A part of a [`Surface`] that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The name that people see.
    Name,
    /// Where the code is, or of a static app what it is.
    Code,
    /// What the shop opens.
    Address,
    /// The icon.
    Icon,
    /// What it may do in the shop.
    Permissions,
}

impl Change {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 5] = [Self::Name, Self::Code, Self::Address, Self::Icon, Self::Permissions];

    /// The text in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Code => "code",
            Self::Address => "address",
            Self::Icon => "icon",
            Self::Permissions => "permissions",
        }
    }
}

impl Surface {
    /// Of this manifest with this content.
    #[must_use]
    pub fn new(manifest: &Manifest, content: &Content) -> Self {
        let code_url = || manifest.hosted.as_ref().and_then(|hosted| hosted.code_url.clone());
        Self {
            name: manifest.name.clone(),
            code: content.artifact().map_or_else(code_url, |zip| Some(zip.sha256.to_string())),
            address: manifest.entry_path().to_owned(),
            icon: manifest.icon_url.clone(),
            permissions: manifest.permissions().iter().cloned().collect(),
        }
    }

    /// What differs in `to`.
    #[must_use]
    pub fn changes(&self, to: &Self) -> Vec<Change> {
        Change::ALL.into_iter().filter(|change| self.differs(to, *change)).collect()
    }

    fn differs(&self, to: &Self, part: Change) -> bool {
        match part {
            Change::Name => self.name != to.name,
            Change::Code => self.code != to.code,
            Change::Address => self.address != to.address,
            Change::Icon => self.icon != to.icon,
            Change::Permissions => self.permissions != to.permissions,
        }
    }

    /// Equal where nothing differs: the SHA-256, in hex, of the parts as a JSON array, in which no two lists of parts
    /// read alike.
    #[must_use]
    pub fn digest(&self) -> String {
        let parts = serde_json::json!([self.name, self.code, self.address, self.icon, self.permissions]);
        sha256_hex(parts.to_string().as_bytes())
    }
}

/// What a shop's installation of `from` must be updated in to be one of `to`; everything, where `from` is unknown here.
/// A plugin has no installation: what it changes is known when its ZIP is.
#[must_use]
pub fn changes(from: Option<&Release>, to: &Release) -> Vec<Change> {
    match (to.kind(), from) {
        (Kind::Plugin, _) => Vec::new(),
        (Kind::Static | Kind::Hosted, Some(from)) => from.surface().changes(&to.surface()),
        (Kind::Static | Kind::Hosted, None) => Change::ALL.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::release::tests::{hosted, release},
        *,
    };

    fn names(changes: &[Change]) -> Vec<&'static str> {
        changes.iter().map(|change| change.as_str()).collect()
    }

    #[test]
    fn each_part_is_named_where_it_differs() {
        let changed = |change: fn(&mut Release)| {
            let mut to = hosted("1.1.0");
            change(&mut to);
            names(&changes(Some(&hosted("1.0.0")), &to))
        };
        assert_eq!(changed(|_| ()), [""; 0], "a version alone changes nothing");
        assert_eq!(changed(|it| it.manifest.name = "Tools".into()), ["name"]);
        assert_eq!(changed(|it| it.manifest.entry.push('x')), ["address"]);
        assert_eq!(changed(|it| it.manifest.icon_url = Some("https://acme.example/i.png".into())), ["icon"]);
        assert_eq!(changed(|it| it.manifest.permissions = Some(vec!["a".into()])), ["permissions"]);
        let code = |it: &mut Release| {
            it.manifest.hosted.as_mut().into_iter().for_each(|it| it.code_url = Some("https://a.b/c".into()));
        };
        assert_eq!(changed(code), ["code"]);
        let silent = |it: &mut Release| {
            it.manifest.description = "Better".into();
            it.manifest.hosted.as_mut().into_iter().for_each(|it| it.installation_url.push('2'));
        };
        assert_eq!(changed(silent), [""; 0], "what the shop does not see is the vendor's own affair");
    }

    #[test]
    fn a_static_app_is_its_zip_and_a_plugin_has_no_installation() {
        let as_static = |version| {
            let mut release = release(version);
            release.content = match release.content {
                Content::Plugin(zip) => Content::Static(zip),
                other => other,
            };
            release
        };
        assert_eq!(names(&changes(Some(&as_static("1.0.0")), &as_static("1.1.0"))), ["code"]);
        assert_eq!(changes(Some(&release("1.0.0")), &release("1.1.0")), []);
    }

    #[test]
    fn nothing_is_known_of_an_installation_of_an_unknown_release() {
        assert_eq!(changes(None, &hosted("1.0.0")), Change::ALL);
        assert_eq!(changes(None, &release("1.0.0")), []);
    }

    #[test]
    fn a_path_is_the_same_with_and_without_node_s_dot() {
        let (plain, mut dotted) = (release("1.0.0"), release("1.0.0"));
        dotted.manifest.entry = format!("./{}", plain.manifest.entry);
        assert_eq!(plain.surface().digest(), dotted.surface().digest());
    }

    prop_compose! {
        fn a_surface()(
            name in "[ab]{0,2}",
            code in prop::option::of("[ab]{0,1}"),
            address in "[ab]{0,2}",
            icon in prop::option::of("[ab]{0,1}"),
            permissions in prop::collection::btree_set("[ab\",]", 0..2),
        ) -> Surface {
            Surface { name, code, address, icon, permissions }
        }
    }

    proptest! {
        #[test]
        fn no_change_is_the_same_digest(one in a_surface(), other in a_surface()) {
            prop_assert_eq!(one.changes(&other).is_empty(), one.digest() == other.digest());
            prop_assert_eq!(one.changes(&other), other.changes(&one));
            prop_assert_eq!(one.changes(&one), []);
        }

        #[test]
        fn the_order_of_permissions_is_no_change(mut permissions in prop::collection::vec("[a-z]{1,3}", 0..5)) {
            let with = |permissions: &Vec<String>| {
                let mut release = hosted("1.0.0");
                release.manifest.permissions = Some(permissions.clone());
                release.surface()
            };
            let before = with(&permissions);
            permissions.reverse();
            prop_assert_eq!(before.digest(), with(&permissions).digest());
        }
    }
}
