-- A message that was dead-lettered long ago names error callbacks, too: who asks for them begins here, else the first dispatch of this version
-- would read the whole log and have them called months after.
insert into event_store.checkpoints (follower, log, position)
select 'dispatch.error_callbacks', 'tasks', coalesce(max(position), 0) from event_store.task_events
on conflict do nothing;
