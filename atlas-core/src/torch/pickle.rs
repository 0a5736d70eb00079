//! Python's pickles, of protocol 0 to 5, as far as `torch.save` and the programs around it write
//! them.
//!
//! After Python's `Lib/pickletools.py`. Python unpickles by calling whatever a file names; here the
//! names that rebuild tensors are known and nothing is called: any other name makes an object that
//! is no tensor. Values live in flat lists and refer to each other by index: neither reading nor
//! dropping them recurses, however deep a file nests them.

use std::collections::HashMap;

use super::calls;
use super::scalars::{bytes, integer_of_bytes, integer_of_digits, quoted, text, unescaped};
use super::tensor_ref::storage;
use super::values::{Global, Result, Value, Values};

/// A pickle of more bytes is refused before it is read.
pub(super) const LARGEST: u64 = 64 << 20;
/// A pickle that makes more values than this is refused: each takes more memory than its byte.
const MOST_VALUES: usize = 1 << 22;
/// The newest protocol.
const NEWEST: u8 = 5;
/// A longer name of Python is refused: messages repeat it.
const LONGEST_NAME: usize = 1024;
const CUT_OFF: &str = "its pickle is cut off: copy or download the file again";

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

    /// The opcodes of numbers, texts and bytes.
    fn step(&mut self, opcode: u8) -> Result<()> {
        let value = match opcode {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'K' => Value::Int(u8::from_le_bytes(self.array()?).into()),
            b'M' => Value::Int(u16::from_le_bytes(self.array()?).into()),
            b'J' => Value::Int(i32::from_le_bytes(self.array()?).into()),
            0x8a | 0x8b => {
                let bytes = self.counted(if opcode == 0x8a { 1 } else { 4 })?;
                integer_of_bytes(bytes)
            }
            b'I' => match self.line()? {
                "00" => Value::Bool(false),
                "01" => Value::Bool(true),
                digits => integer_of_digits(digits)?,
            },
            b'L' => integer_of_digits(self.line()?.trim_end_matches('L'))?,
            b'F' => {
                self.line()?;
                Value::Other("a float")
            }
            b'G' => {
                self.take(8)?;
                Value::Other("a float")
            }
            b'S' => quoted(self.line()?)?,
            b'V' => unescaped(self.line()?),
            b'U' | 0x8c => text(self.counted(1)?),
            b'T' | b'X' => text(self.counted(4)?),
            0x8d => text(self.counted(8)?),
            b'C' => bytes(self.counted(1)?),
            b'B' => bytes(self.counted(4)?),
            0x8e | 0x96 => bytes(self.counted(8)?),
            _ => return self.step_on_memo(opcode),
        };
        self.push(value)
    }

    /// The opcodes that move values between the stack and the memo, and those that frame others.
    fn step_on_memo(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            0x80 => match self.array()? {
                [0..=NEWEST] => Ok(()),
                [newer] => Err(format!(
                    "it is of protocol {newer}, and {NEWEST} is the newest known: save with \
                     `pickle_protocol=2`"
                )),
            },
            0x95 => self.take(8).map(drop),
            b'p' => {
                let index = self.line()?.parse().map_err(|_| DAMAGED)?;
                self.put(index)
            }
            b'q' => {
                let [index] = self.array()?;
                self.put(index.into())
            }
            b'r' => {
                let index = u32::from_le_bytes(self.array()?);
                self.put(index)
            }
            0x94 => self.put(self.memo.len() as u32),
            b'g' => {
                let index = self.line()?.parse().map_err(|_| DAMAGED)?;
                self.get(index)
            }
            b'h' => {
                let [index] = self.array()?;
                self.get(index.into())
            }
            b'j' => {
                let index = u32::from_le_bytes(self.array()?);
                self.get(index)
            }
            b'0' if self.marks.last() == Some(&self.stack.len()) => {
                self.marks.pop();
                Ok(())
            }
            b'0' => self.pop().map(drop),
            b'1' => {
                let count = self.since_mark()?;
                self.pop_all(count).map(drop)
            }
            b'2' => {
                let top = self.top()?;
                self.push(top)
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
            b']' => self.make_list(0),
            b'l' => {
                let count = self.since_mark()?;
                self.make_list(count)
            }
            b'}' => self.make_dict(0),
            b'd' => {
                let count = self.since_mark()?;
                self.make_dict(count)
            }
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
            0x8f => self.push(Value::Other("a set")),
            0x90 | 0x91 => {
                let count = self.since_mark()?;
                self.pop_all(count)?;
                if opcode == 0x90 {
                    return Ok(());
                }
                self.push(Value::Other("a set"))
            }
            _ => self.step_on_names(opcode),
        }
    }

    /// The opcodes that ask for a name of Python, and those that call what has one.
    fn step_on_names(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push_global(module, name)
            }
            0x93 => match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => self.push_global(module, name),
                _ => Err(DAMAGED.to_owned()),
            },
            b'R' | 0x81 => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                self.call(function, arguments)
            }
            // Arguments that have names are of no tensor.
            0x92 => {
                let (_, arguments, class) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(class, arguments)
            }
            b'i' => {
                let (module, name) = (self.line()?, self.line()?);
                let count = self.since_mark()?;
                self.make_tuple(count)?;
                let arguments = self.pop()?;
                self.push_global(module, name)?;
                let class = self.pop()?;
                self.call(class, arguments)
            }
            b'o' => {
                let count = self.since_mark()?;
                self.make_tuple(count.checked_sub(1).ok_or_else(empty)?)?;
                let (arguments, class) = (self.pop()?, self.pop()?);
                self.call(class, arguments)
            }
            b'Q' => {
                let id = self.pop()?;
                self.push_persistent(id)
            }
            b'P' => Err(
                "it is of protocol 0, which cannot refer to tensors: save with `pickle_protocol=2`"
                    .to_owned(),
            ),
            b'b' => {
                let (attributes, object) = (self.pop()?, self.top()?);
                calls::set_attributes(&mut self.values, object, attributes)
            }
            0x82..=0x84 | 0x97 | 0x98 => Err(
                "a part of it is in the program that wrote it: save with `torch.save`".to_owned(),
            ),
            _ => Err(DAMAGED.to_owned()),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let taken = self.bytes[self.at..].get(..count);
        let taken = taken.ok_or(CUT_OFF)?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| CUT_OFF.to_owned())
    }

    /// Bytes after their number, which is itself of so many bytes.
    fn counted(&mut self, size: usize) -> Result<&'a [u8]> {
        let mut count = [0; 8];
        count[..size].copy_from_slice(self.take(size)?);
        let count = usize::try_from(u64::from_le_bytes(count));
        self.take(count.map_err(|_| CUT_OFF)?)
    }

    fn line(&mut self) -> Result<&'a str> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n');
        let line = self.take(end.ok_or(CUT_OFF)?)?;
        self.take(1)?;
        std::str::from_utf8(line).map_err(|error| error.to_string())
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
        self.below(1)?;
        self.stack.pop().ok_or_else(empty)
    }

    /// The `count` values on top.
    fn pop_all(&mut self, count: usize) -> Result<Vec<Value<'a>>> {
        let below = self.below(count)?;
        Ok(self.stack.split_off(below))
    }

    /// The height of the stack below the `count` values on top.
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

    fn make_list(&mut self, count: usize) -> Result<()> {
        let elements = self.pop_all(count)?;
        self.values.lists.push(elements);
        self.push(Value::List(self.values.lists.len() - 1))
    }

    fn make_dict(&mut self, count: usize) -> Result<()> {
        let items = pairs(self.pop_all(count)?)?;
        let dict = self.values.push_dict(items);
        self.push(dict)
    }

    fn append(&mut self, count: usize) -> Result<()> {
        let elements = self.pop_all(count)?;
        match self.top()? {
            Value::List(index) => self.values.lists[index].extend(elements),
            Value::Object(_) => {}
            _ => return Err("elements are for a list".to_owned()),
        }
        Ok(())
    }

    fn set_items(&mut self, count: usize) -> Result<()> {
        let items = pairs(self.pop_all(count)?)?;
        match self.top()? {
            Value::Dict(index) => self.values.dicts[index].extend(items),
            Value::Object(_) => {}
            _ => return Err("items are for a dictionary".to_owned()),
        }
        Ok(())
    }

    fn push_global(&mut self, module: &'a str, name: &'a str) -> Result<()> {
        if module.len() + name.len() > LONGEST_NAME {
            return Err(format!(
                "it asks for a name of more than {LONGEST_NAME} bytes"
            ));
        }
        let global = Global::named(module, name).unwrap_or_else(|| {
            self.values.names.push((module, name));
            Global::Foreign(self.values.names.len() - 1)
        });
        self.push(Value::Global(global))
    }

    /// What a file keeps outside of its pickle: storages, and of old the source code of modules.
    fn push_persistent(&mut self, id: Value<'a>) -> Result<()> {
        if let Some([Value::Text("module"), class, _, _]) = self.values.tuple(id) {
            let class = *class;
            return self.push(class);
        }
        let storage = storage(&self.values, id)?;
        self.values.storages.push(storage);
        self.push(Value::Storage(self.values.storages.len() - 1))
    }

    /// What Python would do by a call.
    fn call(&mut self, function: Value<'a>, arguments: Value<'a>) -> Result<()> {
        let value = calls::call(&mut self.values, function, arguments)?;
        // What was copied, which any number of calls can share.
        if let Some(tensor) = self.values.tensor(value) {
            self.count(tensor.shape.len() + tensor.strides.len())?;
        }
        if let Some(items) = self.values.dict(value) {
            self.count(items.len())?;
        }
        self.push(value)
    }
}

const DAMAGED: &str =
    "it is no instruction of a pickle; the file is damaged: copy or download it again";

fn empty() -> String {
    "it takes a value where there is none".to_owned()
}

/// Keys and values that alternate, two and two.
fn pairs<'a>(items: Vec<Value<'a>>) -> Result<Vec<(Value<'a>, Value<'a>)>> {
    let pairs = items.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return Err("a key has no value".to_owned());
    }
    Ok(pairs.map(|pair| (pair[0], pair[1])).collect())
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

    /// Each call is five bytes of the pickle, and copies the pairs.
    #[test]
    fn pairs_that_dictionaries_share_count_for_each() {
        let pairs = 1 << 10;
        let pickle = [
            b"\x80\x02ccollections\nOrderedDict\nq\x01(]q\x02(".to_vec(),
            b"NN\x86".repeat(pairs),
            b"etq\x03".to_vec(),
            b"h\x01h\x03R".repeat(MOST_VALUES / pairs + 1),
            b".".to_vec(),
        ]
        .concat();
        assert!(pickle.len() < 1 << 16);
        let why = refusal(&pickle);
        assert!(why.ends_with("it makes more than 4194304 values"), "{why}");
    }

    /// As Python 2 writes `{"a": [1, 70000, -1L, True, None, 1.5], u"b": ("c\n", {}), "a": 2}`, with
    /// an integer of 22 digits and an object of an old class between.
    #[test]
    fn the_opcodes_of_protocol_0_make_the_same_values() {
        let pickle = b"(dp0\nS'a'\np1\n(lp2\nI1\naI70000\naL-1L\naI01\naNaF1.5\nas\
            L1234567890123456789012L\n(imymodel\nNet\np3\n(dbs\
            Vb\n(S'c\\n'\n(dtp4\nsg1\nI2\ns.";
        let pickle = read(pickle).unwrap();
        let values = &pickle.values;
        let Some(
            &[
                (Value::Text("a"), list),
                (Value::Other("an integer beyond 64 bits"), object),
                (Value::Text("b"), pair),
                (Value::Text("a"), Value::Int(2)),
            ],
        ) = values.dict(pickle.root)
        else {
            panic!("{:?}", values.dicts);
        };
        let expected = [
            Value::Int(1),
            Value::Int(70_000),
            Value::Int(-1),
            Value::Bool(true),
            Value::None,
            Value::Other("a float"),
        ];
        let list = values.list(list).unwrap();
        assert_eq!(format!("{list:?}"), format!("{expected:?}"));
        assert_eq!(values.object(object).unwrap().1, ("mymodel", "Net"));
        let pair = values.tuple(pair).unwrap();
        assert!(
            matches!(pair, [Value::Other("a text with escapes"), Value::Dict(_)]),
            "{pair:?}"
        );
    }

    #[test]
    fn no_refusal_speaks_of_opcodes() {
        for opcode in 0..=u8::MAX {
            let pickle = [0x80, 2, opcode, 0xff, 0xff, 0xff, 0xff, 0xff, b'.'];
            if let Err(why) = read(&pickle) {
                assert!(!why.contains("opcode") && !why.contains("0x"), "{why}");
            }
        }
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
