"""What must be so of people who had their account deleted (decision 0028)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.world import World

OVER = ("canceled", "incomplete_expired")


def whoever_left_is_nobody(world: World) -> None:
    """Stripe has no customer of theirs and charges nothing any more, and their address is nowhere of ours."""
    for stuck, problem in world.rows(
        "select id, problem from deletions where done_at is null and undone_at is null"
        " and due_at < sim.clock_timestamp() - interval '25 hours'"
    ):
        world.fails(f"deletion {stuck} was due a day ago: {problem}")
    gone = world.rows("select id, stripe_customer_id from users where deleted_at is not null")
    for user, customer in gone:
        world.hit("account deleted")
        for one in world.at_stripe("customer"):
            if one["id"] == customer and not one.get("_deleted"):
                world.fails(f"{customer} of user {user}, who was deleted, is at Stripe still")
        for plan in world.at_stripe("subscription"):
            if plan["customer"] == customer and plan["status"] not in OVER:
                world.fails(f"{plan['id']} of user {user}, who was deleted, is {plan['status']}")
    here = {email for (email,) in world.rows("select email from users")}
    for address in world.had_accounts - here:
        _is_nowhere(world, address)


def _is_nowhere(world: World, address: str) -> None:
    """In no column of any table."""
    for table in world.ground.tables:
        sql = f"select count(*) from {table} one where strpos(lower(one::text), %s) > 0"
        if world.rows(sql, address)[0][0]:
            world.fails(f"{table} still knows {address}, who was deleted")
