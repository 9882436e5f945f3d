//! An earlier watch beside this one, with what is known and what is not.

use std::time::Duration;

use crate::{
    model::{Against, Clock, Figures, Late, Pair, Port, Watched, tier::Tier},
    sink::event_tests::AT_NS,
};

pub(super) fn against() -> Against {
    let ms = Duration::from_millis;
    let watched = Watched {
        began: Clock::ahead(1_795_000_000_000_000_000).at(AT_NS),
        lasted: Duration::from_secs(10),
        host: "b.example".into(),
        tier: Tier::Trampoline,
        command: ["whydrop", "verify", "8080"].map(str::to_owned).into(),
    };
    let then = Figures {
        refusals: Some(111),
        established: Some(90),
        accepted: Some(88),
        accept_queue: Some((6, 5)),
        syn_queue: Some((2, 5)),
        sees_waits: true,
        waits: Some([ms(1), ms(20), ms(1_500)]),
    };
    let now = Figures {
        established: Some(0),
        sees_waits: true,
        ..Figures::default()
    };
    let port = |port, figures| Port { port, figures };
    let late = Late {
        is_known: true,
        delays: Some([ms(1_020), ms(3_050), ms(3_100)]),
    };
    let unknown = Figures::default();
    Against {
        now: Watched {
            host: "a.example".into(),
            lasted: Duration::from_mins(1),
            ..watched.clone()
        },
        then: watched,
        ports: vec![
            port(8080, Pair { then, now }),
            port(
                8081,
                Pair {
                    then: unknown,
                    now: then,
                },
            ),
        ],
        more: 2,
        delays: Some(Pair {
            then: Late::default(),
            now: late,
        }),
        notes: vec!["then namespace 7 was watched, now everything".into()],
    }
}
