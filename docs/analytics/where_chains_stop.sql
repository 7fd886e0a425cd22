-- At which steps do chains stop, and of what?
select step.chain_step, step.task, step.state, step.error_type, count(*) as chains
from analytics.fct_workflow_steps step
join analytics.fct_workflows flow using (workflow_id)
where flow.kind = 'chain' and step.role = 'link' and step.is_ended and step.state <> 'succeeded'
group by step.chain_step, step.task, step.state, step.error_type
order by step.chain_step, step.task, step.state, step.error_type;
