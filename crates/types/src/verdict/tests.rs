//! The sentences, the codes, what a project sees, and the uuid of a verdict.

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::CellUuid;

fn count(refusal: Refusal, hosts: u32) -> RefusalCount {
    RefusalCount { refusal, hosts }
}

fn no_valid_host() -> Verdict {
    let all = Refusals {
        hosts: 1_205,
        primary: vec![count(Refusal::ServiceDown, 1), count(Refusal::Memory, 1_204)],
        every: vec![count(Refusal::ServiceDown, 1), count(Refusal::Memory, 1_205)],
        shortfalls: vec![Shortfall {
            refusal: Refusal::Memory,
            asked: 8_192,
            best: 6_100,
            missing: 2_092,
            host: "secret-host-7".into(),
        }],
    };
    let cell = CellUuid(Uuid::from_u128(7));
    let traits = BTreeSet::from(["HW_CPU_X86_AVX2".to_owned()]);
    let suggest = |changes: &[Change], hosts| Suggestion { changes: changes.to_vec(), hosts };
    Verdict::new(VerdictReason::NoValidHost(Arc::new(NoHost {
        cells: vec![CellRefusals { cell, refusals: all.clone() }],
        all,
        unasked: vec![UnaskedCell {
            cell: CellUuid(Uuid::from_u128(8)),
            why: NotAsked::CellDisabled,
            hosts: 40,
        }],
        suggestions: vec![
            suggest(&[Change::Memory { at_most: 6_100 }], 3),
            suggest(&[Change::Zone { zone: "az2".into() }, Change::WithoutTraits { traits }], 1),
        ],
    })))
}

#[test]
fn a_project_reads_how_many_hosts_and_why() {
    assert_eq!(
        no_valid_host().to_string(),
        "No valid host was found. 0/1,205 hosts can take it: 1 is down, \
         1,204 have too little memory."
    );
}

#[test]
fn an_admin_reads_what_is_missing_and_what_would_fit() {
    assert_eq!(
        no_valid_host().fault_details().unwrap(),
        "No valid host was found. 0/1,205 hosts can take it: 1 is down, \
         1,204 have too little memory (best has 6,100 of 8,192 MB). \
         1 cell with 40 more was not asked. It would fit with at most 6,100 MB memory, \
         or in availability zone az2 and without the wish for trait HW_CPU_X86_AVX2."
    );
}

#[test]
fn a_plane_without_hosts_says_so() {
    let verdict = Verdict::new(VerdictReason::NoValidHost(Arc::default()));
    assert_eq!(verdict.to_string(), "No valid host was found. No enabled cell has a host.");
}

#[test]
fn each_refusal_has_a_code_of_its_own_that_json_uses() {
    let codes: BTreeSet<&str> = Refusal::ALL.iter().map(|refusal| refusal.code()).collect();
    assert_eq!(codes.len(), Refusal::ALL.len());
    for refusal in Refusal::ALL {
        assert_eq!(serde_json::json!(refusal), refusal.code());
    }
    let verdict = no_valid_host();
    assert_eq!(serde_json::json!(verdict)["code"], verdict.code());
}

#[test]
fn a_verdict_survives_the_way_through_json() {
    let no_host = Arc::new(no_valid_host().no_host().unwrap().clone());
    let reason = VerdictReason::MinCountNotMet { fit: 2, min_count: 3, no_host };
    for verdict in [no_valid_host(), Verdict::new(reason)] {
        assert_eq!(serde_json::from_str::<Verdict>(&verdict.to_json()).unwrap(), verdict);
    }
}

#[test]
fn the_message_fits_its_column() {
    let message = "word ".repeat(100);
    let verdict = Verdict::new(VerdictReason::Scheduler { message });
    assert!(verdict.fault_message().chars().count() <= FAULT_MESSAGE_LENGTH_MAX);
}

#[test]
fn what_a_project_sees_names_no_host_no_cell_and_nothing_that_is_free() {
    let secret = "secret-host-7";
    let reasons = [
        no_valid_host().reason,
        VerdictReason::HostMappingNotFound { host: secret.into() },
        VerdictReason::Rejected { message: format!("no room on {secret}") },
    ];
    for reason in reasons {
        let verdict = Verdict::new(reason);
        assert!(verdict.to_json().contains(secret));
        let seen = verdict.for_project();
        for text in [seen.to_json(), seen.to_string(), seen.admin_sentence()] {
            assert!(!text.contains(secret), "{text}");
            assert!(!text.contains("-000000000007"), "{text}");
            assert!(!text.contains("6100") && !text.contains("6,100"), "{text}");
        }
        assert_eq!(seen.to_string(), verdict.to_string());
    }
    // What says nothing of others is there.
    let seen = no_valid_host().for_project();
    assert_eq!(seen.no_host().unwrap().suggestions.len(), 1);
}

/// What `docs/verdict.md` shows is what there is.
#[test]
fn the_documented_verdict_reads_as_documented() {
    let document = include_str!("../../../../docs/verdict.md");
    let (_, json) = document.split_once("```json\n").unwrap();
    let (json, _) = json.split_once("```").unwrap();
    let verdict: Verdict = serde_json::from_str(json).unwrap();
    let documented: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(serde_json::json!(verdict), documented);
    for sentence in [verdict.to_string(), verdict.admin_sentence()] {
        assert!(document.contains(&format!("\n> {sentence}\n")), "{sentence}");
    }
}
