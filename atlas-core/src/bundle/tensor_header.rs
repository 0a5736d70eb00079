//! The header of a tensor file, and where its tensors lie: both follow from the names, dtypes and
//! shapes of its tensors.
//!
//! So the header of a file is never interpreted. A reader computes the one header that the file
//! may have from what `atlas.json` lists, and compares bytes.

use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use crate::tensors;

/// The longest header that readers of safetensors accept.
const LONGEST_HEADER: usize = 100_000_000;
/// The one name that safetensors keeps for itself.
const RESERVED: &str = "__metadata__";

/// One tensor as `atlas.json` lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TensorInfo {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
}

/// Where everything in a tensor file lies.
pub(super) struct Layout {
    /// All bytes before the elements: the header's length and the header.
    pub(super) head: Vec<u8>,
    /// The tensors in the order in which their elements follow, each with its bytes.
    pub(super) parts: Vec<Part>,
    /// The size of the file.
    pub(super) bytes: u64,
}

/// One tensor's place in a [`Layout`].
pub(super) struct Part {
    /// The tensor's place in the list that the layout was made of.
    pub(super) index: usize,
    pub(super) bytes: usize,
}

impl Layout {
    /// The layout of a file of these tensors, which are in the order of their names; an error says
    /// why there can be no such file.
    pub(super) fn of(entries: &[TensorInfo]) -> Result<Self, String> {
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].name >= pair[1].name) {
            return Err(format!(
                "tensor `{}` comes after `{}`",
                pair[1].name, pair[0].name
            ));
        }
        let mut order: Vec<usize> = (0..entries.len()).collect();
        // The larger elements first, so that all are aligned; the sort is stable.
        order.sort_by(|left, right| entries[*right].dtype.cmp(&entries[*left].dtype));

        let mut json = String::from("{");
        let mut parts = Vec::with_capacity(order.len());
        let mut offset: usize = 0;
        for index in order {
            let entry = &entries[index];
            let bytes = entry.bytes()?;
            let end = offset
                .checked_add(bytes)
                .ok_or("its tensors are larger than any memory")?;
            let info = safetensors::tensor::TensorInfo {
                dtype: entry.dtype,
                shape: entry.shape.clone(),
                data_offsets: (offset, end),
            };
            let text = |value: serde_json::Result<String>| value.map_err(|error| error.to_string());
            if !parts.is_empty() {
                json.push(',');
            }
            json.push_str(&text(serde_json::to_string(&entry.name))?);
            json.push(':');
            json.push_str(&text(serde_json::to_string(&info))?);
            parts.push(Part { index, bytes });
            offset = end;
        }
        json.push('}');
        let length = json.len().next_multiple_of(8);
        if length > LONGEST_HEADER {
            return Err(format!(
                "its header would be longer than {LONGEST_HEADER} bytes"
            ));
        }
        let mut head = (length as u64).to_le_bytes().to_vec();
        head.extend_from_slice(json.as_bytes());
        head.resize(8 + length, b' ');
        let bytes = (head.len() as u64)
            .checked_add(offset as u64)
            .ok_or("it is larger than any file")?;
        Ok(Self { head, parts, bytes })
    }
}

impl TensorInfo {
    /// The bytes of the tensor's elements; an error says why no bundle can hold such a tensor.
    pub(super) fn bytes(&self) -> Result<usize, String> {
        let Self { name, dtype, shape } = self;
        if name == RESERVED {
            return Err(format!("no tensor can be called `{RESERVED}`"));
        }
        let known = tensors::tensor_dtype(*dtype)
            .ok_or_else(|| format!("`{name}`: no tensor is of dtype {dtype:?}"))?;
        let bytes = tensors::byte_count(known, shape).and_then(|bytes| usize::try_from(bytes).ok());
        bytes.ok_or_else(|| {
            format!("`{name}`: a tensor of shape {shape:?} is larger than any memory")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, dtype: Dtype, shape: &[usize]) -> TensorInfo {
        TensorInfo {
            name: name.to_owned(),
            dtype,
            shape: shape.to_vec(),
        }
    }

    fn refusal(entries: &[TensorInfo]) -> String {
        Layout::of(entries).map(|layout| layout.bytes).unwrap_err()
    }

    #[test]
    fn larger_elements_come_first_then_names() {
        let entries = [
            entry("a", Dtype::U8, &[3]),
            entry("b", Dtype::F32, &[2, 1]),
            entry("c", Dtype::I64, &[]),
            entry("d", Dtype::F32, &[0]),
        ];
        let layout = Layout::of(&entries).unwrap();
        let header = std::str::from_utf8(&layout.head[8..]).unwrap();
        assert_eq!(
            header.trim_end(),
            r#"{"c":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2,1],"data_offsets":[8,16]},"d":{"dtype":"F32","shape":[0],"data_offsets":[16,16]},"a":{"dtype":"U8","shape":[3],"data_offsets":[16,19]}}"#
        );
        assert_eq!(layout.head[..8], (header.len() as u64).to_le_bytes());
        assert_eq!(header.len() % 8, 0);
        assert_eq!(layout.bytes, layout.head.len() as u64 + 19);
    }

    #[test]
    fn two_tensors_of_one_name_are_refused() {
        let entries = [entry("a", Dtype::F32, &[1]), entry("a", Dtype::F32, &[1])];
        assert_eq!(refusal(&entries), "tensor `a` comes after `a`");
    }

    #[test]
    fn sizes_that_overflow_are_refused() {
        for shape in [
            &[1 << 62][..],
            &[1 << 40, 1 << 40],
            &[usize::MAX],
            &[0, 1 << 40, 1 << 40],
            &[usize::MAX, 0],
        ] {
            let message = refusal(&[entry("a", Dtype::F32, shape)]);
            assert!(message.contains("larger than any memory"), "{message}");
        }
        let half = entry("a", Dtype::U8, &[isize::MAX as usize]);
        let entries = [
            half.clone(),
            TensorInfo {
                name: "b".into(),
                ..half.clone()
            },
            TensorInfo {
                name: "c".into(),
                ..half
            },
        ];
        assert_eq!(refusal(&entries), "its tensors are larger than any memory");
    }

    #[test]
    fn dtypes_that_no_tensor_has_are_refused() {
        assert_eq!(
            refusal(&[entry("a", Dtype::BOOL, &[1])]),
            "`a`: no tensor is of dtype BOOL"
        );
    }

    #[test]
    fn the_reserved_name_is_refused() {
        assert_eq!(
            refusal(&[entry("__metadata__", Dtype::F32, &[1])]),
            "no tensor can be called `__metadata__`"
        );
    }
}
