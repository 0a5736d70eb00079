//! What PyTorch calls the types of elements.

use candle_core::DType;

/// The element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TorchDtype {
    /// Its name in the module `torch`.
    pub(super) name: &'static str,
    /// The bytes of an element.
    pub(super) size: usize,
    /// What tensors of it become: of the same dtype, or, where no bundle can hold that, of one that
    /// has all its values. `None` where there is no such dtype.
    pub(super) dtype: Option<DType>,
}

/// Name, bytes, class of its typed storages (empty if there is none), dtype in a bundle.
type Row = (&'static str, usize, &'static str, Option<DType>);

const DTYPES: [Row; 26] = [
    ("float64", 8, "DoubleStorage", Some(DType::F64)),
    ("float32", 4, "FloatStorage", Some(DType::F32)),
    ("float16", 2, "HalfStorage", Some(DType::F16)),
    ("bfloat16", 2, "BFloat16Storage", Some(DType::BF16)),
    ("int64", 8, "LongStorage", Some(DType::I64)),
    ("int32", 4, "IntStorage", Some(DType::I32)),
    ("int16", 2, "ShortStorage", Some(DType::I16)),
    ("uint8", 1, "ByteStorage", Some(DType::U8)),
    ("uint32", 4, "", Some(DType::U32)),
    ("int8", 1, "CharStorage", Some(DType::I16)),
    ("bool", 1, "BoolStorage", Some(DType::U8)),
    ("complex32", 4, "", None),
    ("complex64", 8, "ComplexFloatStorage", None),
    ("complex128", 16, "ComplexDoubleStorage", None),
    ("uint16", 2, "", Some(DType::U32)),
    ("uint64", 8, "", None),
    ("float8_e4m3fn", 1, "", None),
    ("float8_e4m3fnuz", 1, "", None),
    ("float8_e5m2", 1, "", None),
    ("float8_e5m2fnuz", 1, "", None),
    ("float8_e8m0fnu", 1, "", None),
    ("qint8", 1, "QInt8Storage", None),
    ("quint8", 1, "QUInt8Storage", None),
    ("qint32", 4, "QInt32Storage", None),
    ("quint4x2", 1, "QUInt4x2Storage", None),
    ("quint2x4", 1, "QUInt2x4Storage", None),
];

impl TorchDtype {
    /// The element type of that name, as in `torch.float32`.
    pub(super) fn named(name: &str) -> Option<Self> {
        let found = DTYPES.iter().find(|row| row.0 == name)?;
        Some(Self::of(found))
    }

    /// The element type of storages of that class, as in `torch.FloatStorage`.
    pub(super) fn of_storage(class: &str) -> Option<Self> {
        let mut classes = DTYPES.iter().filter(|row| !row.2.is_empty());
        Some(Self::of(classes.find(|row| row.2 == class)?))
    }

    /// Whether elements can have these bytes: PyTorch gives truth values but 0 and 1 no meaning.
    pub(super) fn is_element(self, bytes: &[u8]) -> bool {
        self.name != "bool" || bytes.iter().all(|byte| *byte <= 1)
    }

    /// The byte that follows those of an integer where it takes more of them: its sign.
    pub(super) fn extension(self, integer: &[u8]) -> u8 {
        let is_negative = integer.last().is_some_and(|byte| *byte >= 0x80);
        if self.name.starts_with("int") && is_negative {
            0xFF
        } else {
            0
        }
    }

    fn of(&(name, size, _, dtype): &Row) -> Self {
        Self { name, size, dtype }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensors;

    /// Those that become another dtype.
    const WIDENED: [&str; 3] = ["int8", "bool", "uint16"];

    #[test]
    fn every_dtype_of_a_bundle_has_a_name_in_torch() {
        for dtype in [
            DType::U8,
            DType::U32,
            DType::I16,
            DType::I32,
            DType::I64,
            DType::BF16,
            DType::F16,
            DType::F32,
            DType::F64,
        ] {
            tensors::stored_dtype(dtype).unwrap();
            let named: Vec<_> = DTYPES
                .iter()
                .filter(|row| row.3 == Some(dtype) && !WIDENED.contains(&row.0))
                .collect();
            assert_eq!(named.len(), 1, "{dtype:?}");
            assert_eq!(named[0].1, dtype.size_in_bytes(), "{dtype:?}");
        }
    }

    #[test]
    fn no_storage_is_of_the_class_without_a_name() {
        assert_eq!(TorchDtype::of_storage(""), None);
    }
}
