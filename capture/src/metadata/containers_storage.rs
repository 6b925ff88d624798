//! `containers/storage`, which Podman and CRI-O keep containers and images in: who a container's id is.
//!
//! A bundle at `<root>/<driver>-containers/<id>/userdata` has `containers.json` beside the container's directory, and
//! `images.json` in `<driver>-images`.

use std::fmt;

use afterimage_format::{FactKey, FactSource};
use serde::{
    Deserialize, Deserializer as _,
    de::{SeqAccess, Visitor},
};

use super::Findings;

/// Largest file read: it lists all containers there are.
pub const LIMIT: u64 = 16 << 20;
/// Files that list containers: the second has those that do not outlive a boot.
pub const CONTAINERS: [&str; 2] = ["containers.json", "volatile-containers.json"];

/// The directories that belong to a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `<root>/<driver>-containers`.
    pub containers: Vec<u8>,
    /// `<root>/<driver>-images`.
    pub images: Vec<u8>,
}

/// Where a bundle's container is listed, if the bundle is in such a storage.
pub fn place(bundle: &[u8], id: &[u8]) -> Option<Place> {
    let container = bundle.strip_suffix(b"/userdata")?.strip_suffix(id)?.strip_suffix(b"/")?;
    let stem = container.strip_suffix(b"-containers")?;
    Some(Place { containers: container.to_vec(), images: [stem, b"-images"].concat() })
}

#[derive(Debug, Deserialize)]
struct Container {
    id: String,
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(default)]
    image: Option<String>,
    #[serde(default)]
    metadata: Option<String>,
}

/// What Podman and CRI-O write into the storage's `metadata`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Metadata {
    image_name: Option<String>,
    name: Option<String>,
    pod_name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Image {
    id: String,
    #[serde(default)]
    digest: Option<String>,
    #[serde(default)]
    names: Option<Vec<String>>,
}

/// Reads a list of containers; gives the id of the container's image.
pub fn read(json: &[u8], id: &[u8], findings: &mut Findings) -> Option<String> {
    let container: Container = find(json, |c: &Container| c.id.as_bytes() == id)?;
    let source = FactSource::PodmanStorage;
    let metadata = container.metadata.and_then(|text| serde_json::from_str::<Metadata>(&text).ok());
    let metadata = metadata.unwrap_or_default();
    let pod_name = metadata.pod_name;
    // Of a pod's container, `name` is its name in the storage, as CRI-O composed it.
    let name = container.names.unwrap_or_default().into_iter().next().or(metadata.name);
    findings.add_text(FactKey::Name, name.as_deref(), source);
    findings.add_text(FactKey::Image, metadata.image_name.as_deref(), source);
    findings.add_text(FactKey::PodName, pod_name.as_deref(), source);
    findings.add_text(FactKey::PodNamespace, metadata.namespace.as_deref(), source);
    findings.add_text(FactKey::PodUid, metadata.uid.as_deref(), source);
    let image = container.image.filter(|image| !image.is_empty())?;
    findings.add(FactKey::ImageId, format!("sha256:{image}").as_bytes(), source);
    Some(image)
}

/// Reads the list of images.
pub fn read_images(json: &[u8], image: &str, findings: &mut Findings) {
    let Some(found) = find(json, |i: &Image| i.id == image) else { return };
    findings.add_text(FactKey::ImageDigest, found.digest.as_deref(), FactSource::PodmanStorage);
    if !findings.facts.iter().any(|fact| fact.key == FactKey::Image) {
        let name = found.names.unwrap_or_default().into_iter().next();
        findings.add_text(FactKey::Image, name.as_deref(), FactSource::PodmanStorage);
    }
}

/// The element of a JSON list that is `wanted`; the others are not kept.
fn find<T: for<'de> Deserialize<'de>>(json: &[u8], wanted: impl Fn(&T) -> bool) -> Option<T> {
    struct Seek<T, F>(F, std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>, F: Fn(&T) -> bool> Visitor<'de> for Seek<T, F> {
        type Value = Option<T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<T>, A::Error> {
            let mut found = None;
            while let Some(element) = list.next_element::<T>()? {
                if found.is_none() && self.0(&element) {
                    found = Some(element);
                }
            }
            Ok(found)
        }
    }
    let mut json = serde_json::Deserializer::from_slice(json);
    json.deserialize_seq(Seek(wanted, std::marker::PhantomData)).ok()?
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_format::BootNanos;

    #[test]
    fn a_bundle_leads_to_its_storage() {
        let place = place(b"/v/storage/overlay-containers/abc/userdata", b"abc").unwrap();
        assert_eq!(place.containers, b"/v/storage/overlay-containers");
        assert_eq!(place.images, b"/v/storage/overlay-images");
        for bundle in [&b"/v/storage/overlay-containers/abd/userdata"[..], b"/v/abc/userdata", b"/b", b""] {
            assert_eq!(super::place(bundle, b"abc"), None);
        }
    }

    #[test]
    fn the_storage_tells_name_and_image() {
        let list = br#"[{"id":"other","names":["x"]},
            {"id":"abc","names":["web"],"image":"ff","layer":"l","metadata":"{\"image-name\":\"nginx:1\",\"name\":\"web\"}"}]"#;
        let images =
            br#"[{"id":"ee","digest":"sha256:0"},{"id":"ff","digest":"sha256:dd","names":["nginx:1"]}]"#;
        let mut findings = Findings::new(BootNanos(1));
        let image = read(list, b"abc", &mut findings).unwrap();
        read_images(images, &image, &mut findings);
        let told: Vec<_> =
            findings.facts.iter().map(|f| (f.key, str::from_utf8(&f.value).unwrap())).collect();
        assert_eq!(
            told,
            [
                (FactKey::Name, "web"),
                (FactKey::Image, "nginx:1"),
                (FactKey::ImageId, "sha256:ff"),
                (FactKey::ImageDigest, "sha256:dd"),
            ]
        );
    }

    #[test]
    fn a_list_that_does_not_have_it_tells_nothing() {
        for json in [&b"[]"[..], b"{}", b"", b"[{\"id\":\"abc\"", b"[{\"id\":1}]"] {
            let mut findings = Findings::new(BootNanos(1));
            assert_eq!(read(json, b"abc", &mut findings), None);
            assert!(findings.is_empty());
        }
    }
}
