//! Damage of every kind is an error, whoever did it, and found before anything large is allocated.

mod allocations;
mod damage;
mod forgery;
mod tiny;
