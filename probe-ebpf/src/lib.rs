//! Empty on purpose: it lets cargo track the crate as a build dependency.
#![no_std]
