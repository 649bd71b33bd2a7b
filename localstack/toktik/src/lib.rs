//! Everything in one process: the embedded cloud and every function, composed from the same parts that run apart
//! elsewhere. Nothing is implemented here a second time.

pub mod api;
pub mod backup;
pub mod bare;
pub mod check;
pub mod cloud;
pub mod control;
pub mod doctor;
pub mod keys;
pub mod provision;
pub mod ready;
pub mod restore;
pub mod run;
pub mod secrets;
pub mod up;
