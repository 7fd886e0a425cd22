-- The rows of some buckets that a table and its draft do not have alike: a part of a statement.
from (select * from {live} t where {which} and mod(hashtextextended({key}, 0), {buckets}) = any(%(buckets)s)) live
full join (
    select * from {draft} t where {which} and mod(hashtextextended({key}, 0), {buckets}) = any(%(buckets)s)
) draft on {same_key}
where {differs}
