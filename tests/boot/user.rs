//! The user's own unit, which needs nobody's permission, and lingering.

use crate::machine::Machine;
use crate::system::lives;

#[test]
#[ignore = "needs root and a test bed with systemd: tests/boot/run"]
fn ten_services_under_a_user_unit_that_lingers() {
    lives(&Machine::boot("user"), true);
}
