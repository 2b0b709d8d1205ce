//! System calls about who a process is. None changes anything but what is played to it.

use std::rc::Rc;

use nix::libc;

use super::errno::Errno;
use super::listener::Answer;
use super::state::{Ids, State};
use super::{Call, Guard};

/// Options of prctl(2) that are served: what needs capabilities, and what would keep the supervisor out.
pub(super) const SERVED_OPTIONS: &[u32] = &[
    libc::PR_GET_DUMPABLE as u32,
    libc::PR_SET_DUMPABLE as u32,
    libc::PR_CAPBSET_READ as u32,
    libc::PR_CAPBSET_DROP as u32,
    libc::PR_SET_SECUREBITS as u32,
    libc::PR_CAP_AMBIENT as u32,
    libc::PR_SET_MM as u32,
];

/// "Leave it as it is".
const SAME: u32 = u32::MAX;

impl Guard {
    pub(super) fn id(&mut self, call: &Call) -> Result<Answer, Errno> {
        let state = &call.state;
        let id = match call.number {
            libc::SYS_getuid => state.user.real,
            libc::SYS_geteuid => state.user.effective,
            libc::SYS_getgid => state.group.real,
            _ => state.group.effective,
        };
        Ok(Answer::Value(i64::from(id)))
    }

    /// getresuid, getresgid.
    pub(super) fn three_ids(&mut self, call: &Call) -> Result<Answer, Errno> {
        let ids = if call.number == libc::SYS_getresuid {
            call.state.user
        } else {
            call.state.group
        };
        for (argument, id) in [ids.real, ids.effective, ids.saved].iter().enumerate() {
            call.memory().write(call.arguments[argument], &id.to_ne_bytes())?;
        }
        Ok(Answer::Value(0))
    }

    pub(super) fn set_user(&mut self, call: &Call) -> Result<Answer, Errno> {
        let user = changed(call, call.state.user, is_whole(call.number), call.state.is_root())?;
        self.become_other(
            call,
            State {
                user,
                ..State::clone(&call.state)
            },
        )
    }

    pub(super) fn set_group(&mut self, call: &Call) -> Result<Answer, Errno> {
        let group = changed(
            call,
            call.state.group,
            is_whole(call.number),
            call.state.is_root(),
        )?;
        self.become_other(
            call,
            State {
                group,
                ..State::clone(&call.state)
            },
        )
    }

    /// setfsuid and setfsgid give what it was before, whether they did it or not.
    pub(super) fn set_file_system_id(&mut self, call: &Call) -> Result<Answer, Errno> {
        let wanted = call.arguments[0] as u32;
        let mut state = State::clone(&call.state);
        let is_root = state.is_root();
        let ids = if call.number == libc::SYS_setfsuid {
            &mut state.user
        } else {
            &mut state.group
        };
        let before = ids.file_system;
        if is_root || ids.has(wanted) || wanted == before {
            ids.file_system = wanted;
            self.become_other(call, state)?;
        }
        Ok(Answer::Value(i64::from(before)))
    }

    pub(super) fn groups(&mut self, call: &Call) -> Result<Answer, Errno> {
        let room = i32::try_from(call.arguments[0]).map_err(|_| Errno::INVAL)?;
        let groups = &call.state.groups;
        let count = i64::try_from(groups.len()).map_err(|_| Errno::INVAL)?;
        if room > 0 {
            if i64::from(room) < count {
                return Err(Errno::INVAL);
            }
            let bytes: Vec<u8> = groups.iter().flat_map(|group| group.to_ne_bytes()).collect();
            call.memory().write(call.arguments[1], &bytes)?;
        }
        Ok(Answer::Value(count))
    }

    pub(super) fn set_groups(&mut self, call: &Call) -> Result<Answer, Errno> {
        /// `NGROUPS_MAX` of limits.h.
        const MOST: usize = 65536;
        if !call.state.is_root() {
            return Err(Errno::PERM);
        }
        let count = call.arguments[0] as usize;
        if count > MOST {
            return Err(Errno::INVAL);
        }
        let bytes = call.memory().read(call.arguments[1], count * 4)?;
        let numbers = bytes.chunks_exact(4);
        let groups: Rc<[u32]> = numbers
            .map(|bytes| {
                bytes
                    .iter()
                    .rev()
                    .fold(0, |number, byte| number << 8 | u32::from(*byte))
            })
            .collect();
        self.become_other(
            call,
            State {
                groups,
                ..State::clone(&call.state)
            },
        )
    }

    pub(super) fn umask(&mut self, call: &Call) -> Result<Answer, Errno> {
        let umask = call.arguments[0] as u32 & 0o777;
        let before = call.state.umask;
        if umask != before {
            self.become_other(
                call,
                State {
                    umask,
                    ..State::clone(&call.state)
                },
            )?;
        }
        Ok(Answer::Value(i64::from(before)))
    }

    /// Root has the capabilities of Docker's default, others have none (capget(2)).
    pub(super) fn capabilities(&mut self, call: &Call) -> Result<Answer, Errno> {
        const VERSION: u32 = 0x2008_0522;
        let memory = call.memory();
        let header = memory.read(call.arguments[0], 4)?;
        if header != VERSION.to_ne_bytes() {
            memory.write(call.arguments[0], &VERSION.to_ne_bytes())?;
            return if call.arguments[1] == 0 {
                Ok(Answer::Value(0))
            } else {
                Err(Errno::INVAL)
            };
        }
        if call.arguments[1] != 0 {
            let held = if call.state.is_root() {
                super::super::walls::DOCKERS.bits()
            } else {
                0
            };
            let low = (held as u32).to_ne_bytes();
            // Effective, permitted, inheritable; first the low halves.
            let data = [low, low, [0; 4], [0; 4], [0; 4], [0; 4]].concat();
            memory.write(call.arguments[1], &data)?;
        }
        Ok(Answer::Value(0))
    }

    pub(super) fn set_capabilities(&mut self, call: &Call) -> Result<Answer, Errno> {
        // Giving up is always allowed; root gains nothing by what it asks for, since it is only played.
        let data = call.memory().read(call.arguments[1], 8)?;
        let wants_some = data.iter().any(|&byte| byte != 0);
        if wants_some && !call.state.is_root() && call.state.user.real != 0 {
            return Err(Errno::PERM);
        }
        Ok(Answer::Value(0))
    }

    pub(super) fn process_option(&mut self, call: &Call) -> Result<Answer, Errno> {
        let [option, value, ..] = call.arguments;
        let has =
            |capability: u64| capability < 64 && super::super::walls::DOCKERS.bits() & (1 << capability) != 0;
        match option as i32 {
            libc::PR_GET_DUMPABLE => Ok(Answer::Value(1)),
            libc::PR_SET_DUMPABLE if value > 1 => Err(Errno::INVAL),
            libc::PR_SET_DUMPABLE => Ok(Answer::Value(0)),
            libc::PR_CAPBSET_READ if value > 63 => Err(Errno::INVAL),
            libc::PR_CAPBSET_READ => Ok(Answer::Value(i64::from(has(value)))),
            _ if !call.state.is_root() => Err(Errno::PERM),
            libc::PR_CAPBSET_DROP | libc::PR_SET_SECUREBITS => Ok(Answer::Value(0)),
            libc::PR_CAP_AMBIENT if value == libc::PR_CAP_AMBIENT_CLEAR_ALL as u64 => Ok(Answer::Value(0)),
            _ => Err(Errno::PERM),
        }
    }

    fn become_other(&mut self, call: &Call, state: State) -> Result<Answer, Errno> {
        self.states.set(call.thread, state)?;
        Ok(Answer::Value(0))
    }
}

/// How many ids a call names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    One,
    RealAndEffective,
    All,
}

fn is_whole(number: i64) -> Form {
    match number {
        libc::SYS_setuid | libc::SYS_setgid => Form::One,
        libc::SYS_setreuid | libc::SYS_setregid => Form::RealAndEffective,
        _ => Form::All,
    }
}

/// What the ids are after setuid(2), setreuid(2), setresuid(2) and those of groups.
fn changed(call: &Call, before: Ids, form: Form, is_root: bool) -> Result<Ids, Errno> {
    let [one, two, three, ..] = call.arguments.map(|argument| argument as u32);
    let mut after = before;
    let allowed = |id: u32| is_root || before.has(id);
    match form {
        Form::One if is_root => after = Ids::all(one),
        Form::One if one == before.real || one == before.saved => after.effective = one,
        Form::One => return Err(Errno::PERM),
        Form::RealAndEffective => {
            if one != SAME {
                after.real = (is_root || one == before.real || one == before.effective)
                    .then_some(one)
                    .ok_or(Errno::PERM)?;
            }
            if two != SAME {
                after.effective = allowed(two).then_some(two).ok_or(Errno::PERM)?;
            }
            if one != SAME || (two != SAME && two != before.real) {
                after.saved = after.effective;
            }
        }
        Form::All => {
            for (wanted, id) in [
                (one, &mut after.real),
                (two, &mut after.effective),
                (three, &mut after.saved),
            ] {
                if wanted != SAME {
                    *id = allowed(wanted).then_some(wanted).ok_or(Errno::PERM)?;
                }
            }
        }
    }
    after.file_system = after.effective;
    Ok(after)
}
