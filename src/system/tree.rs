//! Paths: from what the administrator writes to where the kernel finds it.
//!
//! Owns the following of symbolic links. Under a root they are followed as a
//! process chrooted there would, so that an absolute link inside the tree
//! never leads out of it (`path_resolution(7)`).
#![expect(
    clippy::disallowed_methods,
    reason = "following links is a look at the machine"
)]

use std::io;
use std::path::Path;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

/// The most symbolic links followed in one path, as in the Linux kernel.
const MOST_LINKS: usize = 40;

/// The tree that paths are looked up in: `/`, or a root.
#[derive(Debug)]
pub(super) struct Tree {
    top: Utf8PathBuf,
}

impl Tree {
    /// Takes the tree below a directory.
    ///
    /// # Errors
    /// When the directory cannot be looked at, or its path is not UTF-8.
    pub(super) fn new(top: &Utf8Path) -> io::Result<Self> {
        let top = top.canonicalize_utf8()?;
        if !top.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { top })
    }

    /// The tree's own directory.
    pub(super) fn top(&self) -> &Utf8Path {
        &self.top
    }

    /// Where the kernel finds a path of the tree that has no symbolic links left.
    pub(super) fn outside(&self, path: &Utf8Path) -> Utf8PathBuf {
        self.top.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Follows every symbolic link; what is missing is taken as written, so that a dangling
    /// link leads to where a file would be made.
    ///
    /// # Errors
    /// When a directory cannot be searched, a link is not UTF-8, or links go in circles.
    pub(super) fn resolve(&self, path: &Utf8Path) -> io::Result<Utf8PathBuf> {
        follow(&self.absolute(path)?, |path| self.link(path))
    }

    /// Lists what is looked at on the way there.
    ///
    /// # Errors
    /// As for [`Tree::resolve`].
    pub(super) fn way(&self, path: &Utf8Path) -> io::Result<Vec<Utf8PathBuf>> {
        way(&self.absolute(path)?, |path| self.link(path))
    }

    fn absolute(&self, path: &Utf8Path) -> io::Result<Utf8PathBuf> {
        // Under a root there is no current directory; the tree's top stands for it.
        if path.is_absolute() || self.top != "/" {
            return Ok(Utf8Path::new("/").join(path));
        }
        utf8(&std::path::absolute(path)?)
    }

    fn link(&self, path: &Utf8Path) -> io::Result<Option<Utf8PathBuf>> {
        let outside = self.outside(path);
        match std::fs::symlink_metadata(&outside) {
            Ok(metadata) if metadata.is_symlink() => utf8(&std::fs::read_link(outside)?).map(Some),
            Ok(_) => Ok(None),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Follows the symbolic links of an absolute path; `link` says where one leads, if it is one.
///
/// # Errors
/// Those of `link`, and when links go in circles.
pub(super) fn follow(
    path: &Utf8Path,
    mut link: impl FnMut(&Utf8Path) -> io::Result<Option<Utf8PathBuf>>,
) -> io::Result<Utf8PathBuf> {
    let mut to_do = steps(path);
    let mut done = Utf8PathBuf::from("/");
    let mut links = 0;
    while let Some(step) = to_do.pop() {
        match step {
            Step::Top => done = "/".into(),
            Step::Up => {
                done.pop();
            }
            Step::Down(name) => {
                let next = done.join(name);
                match link(&next)? {
                    None => done = next,
                    Some(_) if links == MOST_LINKS => {
                        return Err(io::Error::other("too many symbolic links"));
                    }
                    Some(target) => {
                        links += 1;
                        to_do.extend(steps(&target));
                    }
                }
            }
        }
    }
    Ok(done)
}

/// Lists what is looked at while links are followed, from the top on: every directory and every
/// link in its real place, and where the path leads.
///
/// # Errors
/// Those of [`follow`].
pub(super) fn way(
    path: &Utf8Path,
    link: impl Fn(&Utf8Path) -> io::Result<Option<Utf8PathBuf>>,
) -> io::Result<Vec<Utf8PathBuf>> {
    let mut seen = vec![Utf8PathBuf::from("/")];
    follow(path, |path| {
        seen.push(path.to_owned());
        link(path)
    })?;
    Ok(seen)
}

/// Tells whether an error means that nothing is there.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

enum Step {
    Top,
    Up,
    Down(String),
}

/// The components of a path, last first.
fn steps(path: &Utf8Path) -> Vec<Step> {
    let mut steps: Vec<_> = path
        .components()
        .filter_map(|component| match component {
            Utf8Component::RootDir | Utf8Component::Prefix(_) => Some(Step::Top),
            Utf8Component::ParentDir => Some(Step::Up),
            Utf8Component::Normal(name) => Some(Step::Down(name.to_owned())),
            Utf8Component::CurDir => None,
        })
        .collect();
    steps.reverse();
    steps
}

fn utf8(path: &Path) -> io::Result<Utf8PathBuf> {
    Utf8PathBuf::from_path_buf(path.to_owned())
        .map_err(|path| io::Error::other(format!("`{}` is not UTF-8", path.display())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree() -> (tempfile::TempDir, Tree) {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path();
        std::fs::create_dir_all(top.join("etc/postfix")).unwrap();
        std::fs::create_dir_all(top.join("srv/mail")).unwrap();
        symlink("/srv/mail", top.join("etc/absolute")).unwrap();
        symlink("../srv/mail/main.cf", top.join("etc/postfix/main.cf")).unwrap();
        symlink("../../../../../etc", top.join("srv/up")).unwrap();
        symlink("circle", top.join("circle")).unwrap();
        let tree = Tree::new(Utf8Path::from_path(top).unwrap()).unwrap();
        (folder, tree)
    }

    #[test]
    fn links_never_lead_out_of_the_tree() {
        let (_folder, tree) = tree();
        for (path, real) in [
            ("/etc/absolute/x", "/srv/mail/x"),
            ("/etc/postfix/main.cf", "/etc/srv/mail/main.cf"),
            ("/srv/up/passwd", "/etc/passwd"),
            ("/../../etc/./passwd", "/etc/passwd"),
            ("etc/passwd", "/etc/passwd"),
            ("/nothing/../etc/x", "/etc/x"),
        ] {
            assert_eq!(tree.resolve(path.into()).unwrap(), real, "{path}");
        }
        assert!(tree.outside("/etc/x".into()).starts_with(tree.top()));
    }

    #[test]
    fn the_way_names_every_link_in_its_real_place() {
        let (_folder, tree) = tree();
        for (path, way) in [
            ("/etc/postfix", "/ /etc /etc/postfix"),
            ("/nothing/x", "/ /nothing /nothing/x"),
            (
                "/etc/absolute/x",
                "/ /etc /etc/absolute /srv /srv/mail /srv/mail/x",
            ),
            (
                "/srv/up/absolute",
                "/ /srv /srv/up /etc /etc/absolute /srv /srv/mail",
            ),
        ] {
            let found = tree.way(path.into()).unwrap();
            let found: Vec<&str> = found.iter().map(|step| step.as_str()).collect();
            assert_eq!(found.join(" "), way);
        }
    }

    #[test]
    fn circles_are_refused() {
        let (_folder, tree) = tree();
        let error = tree.resolve("/circle/x".into()).unwrap_err();
        assert_eq!(error.to_string(), "too many symbolic links");
    }

    #[test]
    fn without_a_root_the_kernel_agrees() {
        let (folder, _tree) = tree();
        let path = Utf8Path::from_path(folder.path())
            .unwrap()
            .join("srv/../etc/postfix");
        let real = Tree::new("/".into()).unwrap().resolve(&path).unwrap();
        assert_eq!(real, path.canonicalize_utf8().unwrap());
    }
}
