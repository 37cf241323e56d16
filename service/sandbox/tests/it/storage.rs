//! Buckets and queues, through the SDK.

use crate::support::{HUB, REGION, config, hub, sandbox};
use aws_sdk_iam::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, MessageSystemAttributeName, QueueAttributeName};
use rolecall_sandbox::{Fault, FaultKind, Sandbox};
use std::time::Duration;

async fn s3(sandbox: &Sandbox) -> aws_sdk_s3::Client {
    aws_sdk_s3::Client::new(&hub(sandbox).await)
}

#[tokio::test]
async fn what_was_put_is_got_as_it_was() {
    let sandbox = sandbox().await;
    sandbox.make_bucket("logs", REGION);
    let client = s3(&sandbox).await;
    let bytes: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
    let key = "a b/ü+%.gz";
    client.put_object().bucket("logs").key(key).body(ByteStream::from(bytes.clone())).send().await.unwrap();
    let got = client.get_object().bucket("logs").key(key).send().await.unwrap();
    assert_eq!(got.content_length(), Some(100_000));
    assert_eq!(got.body.collect().await.unwrap().to_vec(), bytes);
    let part = client.get_object().bucket("logs").key(key).range("bytes=10-19").send().await.unwrap();
    assert_eq!(part.body.collect().await.unwrap().to_vec(), bytes[10..20]);
    sandbox.remove_object("logs", key);
    let gone = client.get_object().bucket("logs").key(key).send().await.unwrap_err();
    assert!(gone.into_service_error().is_no_such_key());
    let none = client.list_objects_v2().bucket("other").send().await.unwrap_err();
    assert!(none.into_service_error().is_no_such_bucket());
    assert!(!sandbox.put_object("other", "k", b""));
}

#[tokio::test]
async fn a_listing_is_the_same_over_any_page_size() {
    let sandbox = sandbox().await;
    sandbox.make_bucket("logs", REGION);
    for key in ["a", "b/1", "b/2", "b/x/1", "c/1", "d", "e/1/2"] {
        assert!(sandbox.put_object("logs", key, key.as_bytes()));
    }
    let client = s3(&sandbox).await;
    let cases: [(&str, bool, &str, &[&str]); 6] = [
        ("", false, "", &["a", "b/1", "b/2", "b/x/1", "c/1", "d", "e/1/2"]),
        ("", true, "", &["a", "b/", "c/", "d", "e/"]),
        ("b/", true, "", &["b/1", "b/2", "b/x/"]),
        ("b/", false, "b/1", &["b/2", "b/x/1"]),
        ("", false, "c", &["c/1", "d", "e/1/2"]),
        ("nothing", true, "", &[]),
    ];
    for page in [1, 2, 3, 1000] {
        for (prefix, delimited, after, expected) in cases {
            let (mut found, mut token) = (Vec::new(), None);
            loop {
                let answer = client
                    .list_objects_v2()
                    .bucket("logs")
                    .prefix(prefix)
                    .set_delimiter(delimited.then(|| "/".to_owned()))
                    .set_start_after((!after.is_empty()).then(|| after.to_owned()))
                    .max_keys(page)
                    .set_continuation_token(token)
                    .send()
                    .await
                    .unwrap();
                let keys = answer.contents().iter().map(|object| object.key().unwrap().to_owned());
                let folders = answer.common_prefixes().iter().map(|folder| folder.prefix().unwrap().to_owned());
                found.extend(keys.chain(folders));
                assert_eq!(answer.is_truncated(), Some(answer.next_continuation_token().is_some()));
                token = answer.next_continuation_token;
                if token.is_none() {
                    break;
                }
            }
            found.sort();
            assert_eq!(found, expected, "{prefix} {delimited} {after} by {page}");
        }
    }
    sandbox.faults().inject(Fault::page_size("s3:ListBucket", 2));
    assert_eq!(client.list_objects_v2().bucket("logs").send().await.unwrap().contents().len(), 2);
    let foreign = client.list_objects_v2().bucket("logs").continuation_token("x").send().await.unwrap_err();
    assert_eq!(foreign.code(), Some("InvalidArgument"));
}

#[tokio::test]
async fn s3_refuses_in_its_own_words_and_points_to_the_bucket_s_region() {
    let sandbox = sandbox().await;
    sandbox.make_bucket("logs", REGION);
    sandbox.make_bucket("far", "us-east-1");
    sandbox.put_object("logs", "k", b"x");
    let client = s3(&sandbox).await;
    let get = || client.get_object().bucket("logs").key("k").send();
    for (kind, action, code, status) in [
        (FaultKind::Deny, "s3:GetObject", "AccessDenied", 403),
        (FaultKind::Deny, "kms:Decrypt", "AccessDenied", 403),
        (FaultKind::Throttle, "s3:GetObject", "SlowDown", 503),
        (FaultKind::Fail, "s3:GetObject", "InternalError", 500),
        (FaultKind::ExpiredToken, "s3:GetObject", "ExpiredToken", 400),
    ] {
        let id = sandbox.faults().inject(Fault::new(kind, action));
        let error = get().await.unwrap_err();
        assert_eq!((error.code(), error.raw_response().unwrap().status().as_u16()), (Some(code), status));
        if code == "AccessDenied" {
            assert!(error.message().unwrap().contains(&format!("is not authorized to perform: {action} on resource")));
        }
        sandbox.faults().remove(id);
    }
    assert!(get().await.is_ok());
    let far = client.list_objects_v2().bucket("far").send().await.unwrap_err();
    assert_eq!(far.code(), Some("PermanentRedirect"));
    assert_eq!(far.raw_response().unwrap().headers().get("x-amz-bucket-region"), Some("us-east-1"));
    let unknown = config(&sandbox, "ASIANOBODYKNOWSTHIS0", Some("x")).await;
    let unknown = aws_sdk_s3::Client::new(&unknown).list_objects_v2().bucket("logs").send().await.unwrap_err();
    assert_eq!(unknown.code(), Some("InvalidAccessKeyId"));
}

#[tokio::test]
async fn a_message_is_hidden_comes_again_and_is_deleted() {
    let sandbox = sandbox().await;
    let url = sandbox.make_queue(HUB, "q", Duration::from_secs(600));
    let client = aws_sdk_sqs::Client::new(&hub(&sandbox).await);
    let receive = |most: i32| {
        client
            .receive_message()
            .queue_url(&url)
            .max_number_of_messages(most)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .send()
    };
    assert!(receive(10).await.unwrap().messages.is_none());
    for n in 0..12 {
        client.send_message().queue_url(&url).message_body(format!("m{n}")).send().await.unwrap();
    }
    let first = receive(10).await.unwrap().messages.unwrap();
    let second = receive(10).await.unwrap().messages.unwrap();
    assert_eq!((first.len(), second.len(), sandbox.messages(&url)), (10, 2, (0, 12)));
    let told = client.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::All).send().await;
    assert_eq!(told.unwrap().attributes().unwrap()[&QueueAttributeName::ApproximateNumberOfMessages], "0");

    let handle = second[0].receipt_handle().unwrap();
    client
        .change_message_visibility()
        .queue_url(&url)
        .receipt_handle(handle)
        .visibility_timeout(0)
        .send()
        .await
        .unwrap();
    let again = receive(10).await.unwrap().messages.unwrap();
    let count = &again[0].attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount];
    assert_eq!((again.len(), again[0].body(), count.as_str()), (1, second[0].body(), "2"));

    let entry = |n: usize, handle: &str| {
        DeleteMessageBatchRequestEntry::builder().id(n.to_string()).receipt_handle(handle).build().unwrap()
    };
    let mut entries: Vec<_> = first.iter().enumerate().map(|(n, m)| entry(n, m.receipt_handle().unwrap())).collect();
    entries[9] = entry(9, "nonsense");
    let deleted = client.delete_message_batch().queue_url(&url).set_entries(Some(entries)).send().await.unwrap();
    assert_eq!((deleted.successful().len(), deleted.failed().len()), (9, 1));
    let old = client.delete_message().queue_url(&url).receipt_handle(handle).send().await;
    assert!(old.is_ok(), "a handle out of date deletes nothing");
    assert_eq!(sandbox.messages(&url), (0, 3));
    sandbox.lapse_visibility(&url);
    assert_eq!(sandbox.messages(&url), (3, 0));

    let error = client.delete_message().queue_url(&url).receipt_handle("nonsense").send().await.unwrap_err();
    assert!(error.into_service_error().is_receipt_handle_is_invalid());
    let error = client.receive_message().queue_url(format!("{url}-other")).send().await.unwrap_err();
    assert!(error.into_service_error().is_queue_does_not_exist());
    sandbox.faults().deny("sqs:DeleteMessage");
    let error = client.delete_message_batch().queue_url(&url).entries(entry(0, handle)).send().await.unwrap_err();
    assert_eq!(error.code(), Some("AccessDeniedException"));
}
