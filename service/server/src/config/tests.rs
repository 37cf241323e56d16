//! What a configuration says, and what is wrong with one.

use super::values::duration;
use super::*;

const EXAMPLE: &str = include_str!("../../../../config.example.toml");

fn problems(text: &str) -> Vec<String> {
    Config::parse(Path::new("rolecall.toml"), text).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn the_example_states_every_default() {
    assert_eq!(Config::parse(Path::new("config.example.toml"), EXAMPLE).unwrap(), Config::default());
}

#[test]
fn what_is_nested_without_end_is_a_problem() {
    for levels in [90, 25_000, 200_000] {
        let texts = [
            format!("[aws]\nregions = {}{}", "[".repeat(levels), "]".repeat(levels)),
            format!("[aws]\nregions = {}", "[".repeat(levels)),
            format!("x = {}1{}", "{a=".repeat(levels), "}".repeat(levels)),
            format!("{}x = 1", "a.".repeat(levels)),
            format!("[{}x]", "a.".repeat(levels)),
            format!("[[{}x]]\n{}y = 1", "a.".repeat(levels), "b.".repeat(levels)),
            // Each line is shallow.
            (0..levels.min(2_000)).map(|n| format!("[{}x]\n", "a.".repeat(n.min(70)))).collect(),
        ];
        for text in texts {
            assert!(!problems(&text).is_empty(), "{levels}");
        }
    }
}

#[test]
fn every_commented_option_of_the_example_is_one() {
    let is_option = |line: &&str| {
        line.starts_with("# ") && (line.contains(" = ") || line.contains("[[") || *line == "# [declared]")
    };
    let text: String = EXAMPLE
        .lines()
        .map(|line| if is_option(&line) { line.trim_start_matches("# ") } else { line })
        .map(|line| format!("{line}\n"))
        .collect();
    // `auth` has options that exclude each other; its own tests read them.
    let text = text.split("[auth]").next().unwrap();
    let config = Config::parse(Path::new("/etc/rolecall/rolecall.toml"), text).unwrap();
    assert_eq!(config.aws.accounts.len(), 1);
    assert_eq!(config.trails.len(), 3);
    assert_eq!(config.policies.dir.as_deref(), Some(Path::new("/etc/rolecall/policies")));
    assert!(config.aws.external_id.is_some());
    assert_eq!(config.declared.paths, Some(vec!["/etc/rolecall/infra/".into()]));
    assert!(config.declared.account.is_some() && config.declared.region.is_some());
    let kinds: Vec<&str> = config.outgoing.webhooks.iter().map(|webhook| webhook.kind.as_str()).collect();
    assert_eq!(kinds, ["standard", "sns", "eventbridge", "email"]);
}

#[test]
fn all_problems_are_reported_at_once_with_line_field_and_remedy() {
    let found = problems(
        "[aws]\ncall_timeout = \"soon\"\nconcurrency = 0\nregions = [\"eu-west-1\", \"Ireland\"]\n\n\
         [[aws.accounts]]\nid = \"12\"\n\n[schedule]\ncron = \"0 0 3 * * *\"\ntimezone = \"Mars\"\n\n\
         [server]\nbint = \"127.0.0.1:1\"\n\n[polcies]\n",
    );
    let expected = [
        ("rolecall.toml:2: aws.call_timeout: `soon` is not a length of time; ", "\"30s\""),
        ("rolecall.toml:3: aws.concurrency: out of range; ", "1 to 256"),
        ("rolecall.toml:4: aws.regions: `Ireland` ", "leave it out"),
        ("rolecall.toml:7: aws.accounts.id: ", "12 digits"),
        ("rolecall.toml:10: schedule.cron: ", "five fields"),
        ("rolecall.toml:11: schedule.timezone: `Mars` is not a time zone; ", "Europe/London"),
        ("rolecall.toml:14: server: unknown field `bint`", "config.example.toml"),
        ("rolecall.toml:16: polcies: no such section; ", "[policies]"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (line, (start, remedy)) in found.iter().zip(expected) {
        assert!(line.starts_with(start) && line.contains(remedy), "{line}");
    }
}

#[test]
fn keys_of_owner_tags_are_kept_as_they_are_written() {
    let text = "[owners]\ntag_keys = [\"Owner\", \"cost:team\"]\nfile = \"own/owners.yaml\"\n";
    let owners = Config::parse(Path::new("etc/rolecall.toml"), text).unwrap().owners;
    assert_eq!(owners.tag_keys, ["Owner", "cost:team"]);
    assert_eq!(owners.file.unwrap(), Path::new("etc/own/owners.yaml"));
    let none = Config::parse(Path::new("rolecall.toml"), "[owners]\ntag_keys = []\n").unwrap().owners;
    assert!(none.tag_keys.is_empty());
    let found = problems("[owners]\ntag_keys = [\"a\", \" \", \"a\"]\nfile = \"\"\n");
    let expected =
        ["2: owners.tag_keys: ` ` cannot be", "2: owners.tag_keys: `a` is there twice", "3: owners.file: it is empty"];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (line, expected) in found.iter().zip(expected) {
        assert!(line.starts_with(&format!("rolecall.toml:{expected}")), "{line}");
    }
    assert!(problems("[owners]\ntags = [\"a\"]\n")[0].contains("unknown field `tags`"));
    assert!(problems("[owner]\n")[0].contains("[owners]"));
}

#[test]
fn a_file_that_is_not_toml_says_where() {
    let found = problems("[aws]\nrole_name = RolecallReadOnly\n");
    assert!(found.iter().any(|line| line.starts_with("rolecall.toml:2: ")), "{found:?}");
}

#[test]
fn an_account_listed_twice_is_refused() {
    let found = problems("[[aws.accounts]]\nid = \"111122223333\"\n[[aws.accounts]]\nid = \"111122223333\"\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("rolecall.toml:4") && found[0].contains("twice"), "{found:?}");
}

#[test]
fn what_aws_or_another_source_would_refuse_is_refused_here() {
    let cases = [
        ("[aws]\nsession_name_prefix = \"audit\"\n", "aws.session_name_prefix", "\"rolecall\""),
        ("[aws]\nregions = [\"eu-west-1\", \"eu-west-1\"]\n", "aws.regions", "leave one of them out"),
        ("[aws]\nrun_deadline = \"8d\"\n", "aws.run_deadline", "between"),
        ("[[trails]]\nname = \"import\"\nkind = \"lookup\"\n", "trails.name", "another name"),
    ];
    for (text, field, remedy) in cases {
        let found = problems(text);
        assert!(found.len() == 1 && found[0].contains(field) && found[0].contains(remedy), "{text}: {found:?}");
    }
    for prefix in ["rolecall", "rolecall-prod"] {
        let text = format!("[aws]\nsession_name_prefix = \"{prefix}\"\n");
        assert!(Config::parse(Path::new("x"), &text).is_ok(), "{prefix}");
    }
}

#[test]
fn what_is_assumed_is_one_of_a_closed_set() {
    let read = |text: &str| Config::parse(Path::new("rolecall.toml"), text);
    let stated = read("[assume]\nscp = \"none\"\norganization = \"files\"\n").unwrap().assume;
    assert_eq!(stated, [Assumption::NoScps, Assumption::OrganizationIsFiles].into());
    let found = problems("[assume]\nscp = \"all\"\nmfa = \"none\"\n");
    assert!(found[0].contains("unknown field `mfa`"), "{found:?}");
    let found = problems("[assume]\nscp = \"all\"\n");
    assert!(
        found[0].starts_with("rolecall.toml:2: assume.scp: `scp=all`") && found[0].contains("scp=none"),
        "{found:?}"
    );
}

#[test]
fn a_day_that_never_comes_is_refused() {
    assert!("0 0 29 2 *".parse::<Cron>().is_ok());
    assert!("0 0 30 2 *".parse::<Cron>().unwrap_err().contains("never"));
}

#[test]
fn lengths_of_time() {
    for (text, millis) in
        [("500ms", 500), ("30s", 30_000), ("0s", 0), ("5m", 300_000), ("12h", 43_200_000), ("2d", 172_800_000)]
    {
        assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    for text in ["", "5", "m", "5 m", "-5m", "5w", "1.5h", "99999999999999999999d", "99999999d"] {
        assert!(duration(text).is_err(), "{text}");
    }
}

#[test]
fn a_secret_is_not_shown() {
    let config = Config::parse(Path::new("x"), "[aws]\nexternal_id = \"hunter-2\"\n").unwrap();
    assert!(!format!("{config:?}").contains("hunter"));
}
