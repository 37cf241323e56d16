//! The store on a real PostgreSQL.

use rolecall_store::testing;

#[tokio::test]
async fn a_database_is_there_and_migrated() {
    let database = testing::database().await.unwrap();
    database.store.check_schema().await.unwrap();
    assert_eq!(database.store.migrate().await.unwrap(), 0);
}
