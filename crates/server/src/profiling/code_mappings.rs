//! Where the code of this process is in memory, from `/proc/self/maps` (proc_pid_maps(5)).

use std::io;

/// An executable part of a file that is mapped into memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeMapping {
    pub start: usize,
    pub end: usize,
    pub file_offset: u64,
    pub file: String,
}

pub struct CodeMappings(Vec<CodeMapping>);

impl CodeMappings {
    pub fn of_this_process() -> io::Result<Self> {
        std::fs::read_to_string("/proc/self/maps").map(|text| Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(code_mapping).collect())
    }

    pub fn contains(&self, address: usize) -> bool {
        self.position(address).is_some()
    }

    /// The index of the mapping with this address.
    pub fn position(&self, address: usize) -> Option<usize> {
        self.0.iter().position(|mapping| (mapping.start..mapping.end).contains(&address))
    }

    pub fn iter(&self) -> impl Iterator<Item = &CodeMapping> {
        self.0.iter()
    }
}

/// A line such as `55d0c7a00000-55d0c8b00000 r-xp 00100000 fe:00 1234  /usr/local/bin/countersign`; `None` if it is not
/// the code of a file.
fn code_mapping(line: &str) -> Option<CodeMapping> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let permissions = words.next()?;
    let file_offset = u64::from_str_radix(words.next()?, 16).ok()?;
    let file = words.nth(2)?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    let is_code = permissions.contains('x') && file.starts_with('/');
    is_code.then(|| CodeMapping { start, end, file_offset, file: file.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::{CodeMapping, CodeMappings};

    #[test]
    fn only_executable_parts_of_files_are_code() {
        let maps = "55d0c7900000-55d0c7a00000 r--p 00000000 fe:00 1234    /usr/bin/countersign\n\
                    55d0c7a00000-55d0c8b00000 r-xp 00100000 fe:00 1234    /usr/bin/countersign\n\
                    55d0c9000000-55d0c9100000 rw-p 00000000 00:00 0       [heap]\n\
                    7f0000000000-7f0000001000 rwxp 00000000 00:00 0\n\
                    7fff5d3d4000-7fff5d3d6000 r-xp 00000000 00:00 0       [vdso]\n";
        let code = CodeMappings::parse(maps);
        let expected = CodeMapping {
            start: 0x55d0_c7a0_0000,
            end: 0x55d0_c8b0_0000,
            file_offset: 0x10_0000,
            file: "/usr/bin/countersign".to_owned(),
        };
        assert_eq!(code.iter().cloned().collect::<Vec<_>>(), [expected]);
        assert!(code.contains(0x55d0_c7a0_0000) && !code.contains(0x55d0_c8b0_0000));
        assert!(!code.contains(0x55d0_c900_0008), "the heap");
    }

    #[test]
    fn this_function_is_code_and_a_variable_is_not() {
        let code = CodeMappings::of_this_process().unwrap();
        let on_heap = Box::new(0_u64);
        assert!(code.contains(only_executable_parts_of_files_are_code as fn() as usize));
        assert!(!code.contains(std::ptr::from_ref::<u64>(&on_heap) as usize));
    }
}
