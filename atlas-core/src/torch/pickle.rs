//! The part of Python's pickle that `torch.save` writes for a dictionary of tensors.
//!
//! After Python's `Lib/pickletools.py`, protocol 2. Python unpickles by calling whatever a file
//! names; here the names that rebuild tensors are known, nothing is called, and any other name
//! ends the reading. Values live in flat lists and refer to each other by index: neither reading
//! nor dropping them recurses, however deep a file nests them.

use std::collections::HashMap;

use super::tensor_ref::{rebuild_tensor, storage};
use super::values::{Global, Result, TensorRef, Value, Values};

/// A pickle of more bytes is refused before it is read.
pub(super) const LARGEST: u64 = 64 << 20;
/// A pickle that makes more values than this is refused: each takes more memory than its byte.
const MOST_VALUES: usize = 1 << 22;

/// A pickle that was read.
pub(super) struct Pickle<'a> {
    pub(super) root: Value<'a>,
    pub(super) values: Values<'a>,
    /// Its length in bytes.
    pub(super) length: usize,
}

/// Reads the pickle that `bytes` begin with.
pub(super) fn read(bytes: &[u8]) -> Result<Pickle<'_>> {
    let mut machine = Machine {
        bytes,
        at: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        values: Values::default(),
        made: 0,
    };
    let root = machine.run()?;
    Ok(Pickle {
        root,
        values: machine.values,
        length: machine.at,
    })
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value<'a>>,
    /// The height of the stack at each mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    values: Values<'a>,
    /// How many values were made: pushed, put into the memo, or copied as sizes of a tensor.
    made: usize,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<Value<'a>> {
        if self.take(2)? != [0x80, 2] {
            return Err("it is not a pickle of protocol 2, which `torch.save` writes".to_owned());
        }
        loop {
            let at = self.at;
            let [opcode] = self.array()?;
            if opcode == b'.' {
                let root = self.pop()?;
                return if self.stack.is_empty() && self.marks.is_empty() {
                    Ok(root)
                } else {
                    Err("it ends with values left over".to_owned())
                };
            }
            self.step(opcode)
                .map_err(|why| format!("byte {at} of its pickle: {why}"))?;
        }
    }

    fn step(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'K' => {
                let [value] = self.array()?;
                self.push(Value::Int(value.into()))
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Value::Int(value.into()))
            }
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(value.into()))
            }
            0x8a => {
                let value = self.long()?;
                self.push(value)
            }
            b'X' => {
                let length = u32::from_le_bytes(self.array()?);
                let text = std::str::from_utf8(self.take(length as usize)?);
                self.push(Value::Text(text.map_err(|error| error.to_string())?))
            }
            b'c' => {
                let global = self.global()?;
                self.push(Value::Global(global))
            }
            b'q' => {
                let [index] = self.array()?;
                self.put(index.into())
            }
            b'r' => {
                let index = u32::from_le_bytes(self.array()?);
                self.put(index)
            }
            b'h' => {
                let [index] = self.array()?;
                self.get(index.into())
            }
            b'j' => {
                let index = u32::from_le_bytes(self.array()?);
                self.get(index)
            }
            _ => self.step_on_parts(opcode),
        }
    }

    /// The opcodes that make values of values.
    fn step_on_parts(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            b'(' => {
                self.count(1)?;
                self.marks.push(self.stack.len());
                Ok(())
            }
            b')' => self.make_tuple(0),
            0x85 => self.make_tuple(1),
            0x86 => self.make_tuple(2),
            0x87 => self.make_tuple(3),
            b't' => {
                let count = self.since_mark()?;
                self.make_tuple(count)
            }
            b']' => {
                self.values.lists.push(Vec::new());
                self.push(Value::List(self.values.lists.len() - 1))
            }
            b'}' => self.make_dict(),
            b'a' => self.append(1),
            b'e' => {
                let count = self.since_mark()?;
                self.append(count)
            }
            b's' => self.set_items(2),
            b'u' => {
                let count = self.since_mark()?;
                self.set_items(count)
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = storage(&self.values, id)?;
                self.values.storages.push(storage);
                self.push(Value::Storage(self.values.storages.len() - 1))
            }
            b'R' => self.reduce(),
            b'b' => self.build(),
            other => Err(format!(
                "opcode {other:#04x} is not one that `torch.save` writes for tensors"
            )),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let taken = self.bytes[self.at..].get(..count);
        let taken = taken.ok_or("its pickle is cut off")?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.take(N)?;
        taken
            .try_into()
            .map_err(|_| "its pickle is cut off".to_owned())
    }

    fn line(&mut self) -> Result<&'a str> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n');
        let line = self.take(end.ok_or("its pickle is cut off")?)?;
        self.take(1)?;
        std::str::from_utf8(line).map_err(|error| error.to_string())
    }

    fn global(&mut self) -> Result<Global> {
        let (module, name) = (self.line()?, self.line()?);
        Global::named(module, name).ok_or_else(|| {
            format!("it asks for `{module}.{name}`, which is no part of a dictionary of tensors")
        })
    }

    fn long(&mut self) -> Result<Value<'a>> {
        let [length] = self.array()?;
        let bytes = self.take(length.into())?;
        let Some(last) = bytes.last().filter(|_| bytes.len() <= 8) else {
            return Ok(match bytes {
                [] => Value::Int(0),
                beyond => Value::Long(beyond),
            });
        };
        let sign = if *last < 0x80 { 0 } else { 0xff };
        let mut whole = [sign; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        Ok(Value::Int(i64::from_le_bytes(whole)))
    }

    fn count(&mut self, values: usize) -> Result<()> {
        self.made = self.made.saturating_add(values);
        if self.made <= MOST_VALUES {
            Ok(())
        } else {
            Err(format!("it makes more than {MOST_VALUES} values"))
        }
    }

    fn push(&mut self, value: Value<'a>) -> Result<()> {
        self.count(1)?;
        self.stack.push(value);
        Ok(())
    }

    /// The value on top; what lies below the last mark is out of reach.
    fn pop(&mut self) -> Result<Value<'a>> {
        let bottom = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() > bottom {
            self.stack.pop().ok_or_else(empty)
        } else {
            Err(empty())
        }
    }

    /// The height of the `count` values on top.
    fn below(&self, count: usize) -> Result<usize> {
        let bottom = self.marks.last().copied().unwrap_or(0);
        let height = self.stack.len().checked_sub(count);
        height.filter(|height| *height >= bottom).ok_or_else(empty)
    }

    fn top(&self) -> Result<Value<'a>> {
        let height = self.below(1)?;
        Ok(self.stack[height])
    }

    /// Takes the last mark away; how many values are above it.
    fn since_mark(&mut self) -> Result<usize> {
        let mark = self.marks.pop().ok_or("there is no mark")?;
        Ok(self.stack.len() - mark)
    }

    fn put(&mut self, index: u32) -> Result<()> {
        let top = self.top()?;
        self.count(1)?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn get(&mut self, index: u32) -> Result<()> {
        let value = self.memo.get(&index).copied();
        self.push(value.ok_or_else(|| format!("there is no value {index}"))?)
    }

    fn make_tuple(&mut self, count: usize) -> Result<()> {
        let below = self.below(count)?;
        let start = self.values.elements.len();
        self.values.elements.extend(self.stack.drain(below..));
        self.push(Value::Tuple { start, len: count })
    }

    fn make_dict(&mut self) -> Result<()> {
        self.values.dicts.push(Vec::new());
        self.push(Value::Dict(self.values.dicts.len() - 1))
    }

    fn append(&mut self, count: usize) -> Result<()> {
        let below = self.below(count)?;
        let elements = self.stack.split_off(below);
        let list = match self.top()? {
            Value::List(index) => self.values.lists.get_mut(index),
            _ => None,
        };
        list.ok_or("elements are for a list")?.extend(elements);
        Ok(())
    }

    fn set_items(&mut self, count: usize) -> Result<()> {
        let below = self.below(count)?;
        let items = self.stack.split_off(below);
        let dict = match self.top()? {
            Value::Dict(index) => self.values.dicts.get_mut(index),
            _ => None,
        };
        let dict = dict.ok_or("items are for a dictionary")?;
        let pairs = items.chunks_exact(2);
        if !pairs.remainder().is_empty() {
            return Err("a key has no value".to_owned());
        }
        dict.extend(pairs.map(|pair| (pair[0], pair[1])));
        Ok(())
    }

    /// What Python would do by a call.
    fn reduce(&mut self) -> Result<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let arguments = self
            .values
            .tuple(arguments)
            .ok_or("arguments are a tuple")?;
        let Value::Global(function) = function else {
            return Err("what is called is no function".to_owned());
        };
        match (function, arguments) {
            (Global::OrderedDict, []) => self.make_dict(),
            (Global::RebuildParameter, &[Value::Tensor(index), Value::Bool(_), hooks]) => {
                match self.values.dict(hooks) {
                    Some([]) => self.push(Value::Tensor(index)),
                    _ => Err("a parameter has hooks, which are code".to_owned()),
                }
            }
            (Global::RebuildTensorV2, arguments) => {
                let tensor = rebuild_tensor(&self.values, arguments, None)?;
                self.push_tensor(tensor)
            }
            (Global::RebuildTensorV3, &[ref first @ .., Value::Global(Global::Dtype(dtype))])
                if first.len() == 6 =>
            {
                let tensor = rebuild_tensor(&self.values, first, Some(dtype))?;
                self.push_tensor(tensor)
            }
            (function, _) => Err(format!("{function:?} has arguments of another kind")),
        }
    }

    fn push_tensor(&mut self, tensor: TensorRef<'a>) -> Result<()> {
        self.count(tensor.shape.len() + tensor.strides.len())?;
        self.values.tensors.push(tensor);
        self.push(Value::Tensor(self.values.tensors.len() - 1))
    }

    /// Sets attributes. The dictionary of a module's tensors has one, its modules' versions.
    fn build(&mut self) -> Result<()> {
        let (attributes, object) = (self.pop()?, self.top()?);
        match (self.values.dict(object), self.values.dict(attributes)) {
            (Some(_), Some([(Value::Text("_metadata"), _)])) => Ok(()),
            _ => Err("it sets attributes that a dictionary of tensors does not have".to_owned()),
        }
    }
}

fn empty() -> String {
    "it takes a value where there is none".to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::tensor_ref::MOST_DIMENSIONS;
    use super::*;

    fn text(text: &str) -> Vec<u8> {
        let length = text.len() as u32;
        [b"X", &length.to_le_bytes()[..], text.as_bytes()].concat()
    }

    /// A pickle that memoises the function that rebuilds tensors, and its arguments for a tensor
    /// of so many dimensions of one element, as 1 and 2.
    fn memoised(dimensions: usize) -> Vec<u8> {
        [
            b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\x01".to_vec(),
            // The storage and the offset.
            b"((".to_vec(),
            text("storage"),
            b"ctorch\nFloatStorage\n".to_vec(),
            text("0"),
            text("cpu"),
            b"K\x01tQK\x00".to_vec(),
            // The shape, which is the strides too.
            b"(".to_vec(),
            b"K\x01".repeat(dimensions),
            b"tq\x00h\x00".to_vec(),
            // No gradient, no hooks.
            b"\x89ccollections\nOrderedDict\n)Rtq\x02".to_vec(),
        ]
        .concat()
    }

    fn refusal(pickle: &[u8]) -> String {
        match read(pickle) {
            Ok(_) => panic!("it was read"),
            Err(why) => why,
        }
    }

    #[test]
    fn a_tensor_has_no_more_than_64_dimensions() {
        let pickle = [memoised(MOST_DIMENSIONS), b"R.".to_vec()].concat();
        let tensor = read(&pickle).unwrap().values.tensors.remove(0);
        assert_eq!(tensor.shape, [1; MOST_DIMENSIONS]);
        let pickle = [memoised(1 << 20), b"R.".to_vec()].concat();
        let why = refusal(&pickle);
        assert!(
            why.ends_with("a tensor has 1048576 dimensions, and at most 64 are read"),
            "{why}"
        );
    }

    /// Each call is five bytes of the pickle, and 1 KiB of sizes.
    #[test]
    fn sizes_that_tensors_share_count_for_each() {
        let tensors = MOST_VALUES / (2 * MOST_DIMENSIONS) + 1;
        let pickle = [
            memoised(MOST_DIMENSIONS),
            b"h\x01h\x02R".repeat(tensors),
            b".".to_vec(),
        ]
        .concat();
        assert!(pickle.len() < 1 << 18);
        let why = refusal(&pickle);
        assert!(why.ends_with("it makes more than 4194304 values"), "{why}");
    }

    #[test]
    fn what_is_put_into_the_memo_counts() {
        let puts = (0..MOST_VALUES as u32).flat_map(|index| {
            let [a, b, c, d] = index.to_le_bytes();
            [b'r', a, b, c, d]
        });
        let pickle: Vec<u8> = b"\x80\x02N".iter().copied().chain(puts).collect();
        let why = refusal(&pickle);
        assert!(why.ends_with("it makes more than 4194304 values"), "{why}");
    }
}
