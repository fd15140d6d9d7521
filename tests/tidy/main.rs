//! The house rules, read off the tree: what may name what, which words are banned, how long a file may be.

#[cfg(test)]
mod rules;
#[cfg(test)]
mod tree;
