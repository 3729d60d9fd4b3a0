"""The tables, one module per subject. Amounts are integers in minor units; times are aware UTC."""

from billing.models.audit import AuditEntry, Installation, Lease, RateHit
from billing.models.comps import Comp
from billing.models.deletions import Deletion
from billing.models.exports import DataExport
from billing.models.grants import Grant
from billing.models.inbox import StripeEvent
from billing.models.mail import Notice
from billing.models.money import Dispute, Invoice, PastPrice, Payment, PlanPrice
from billing.models.people import AuthToken, LoginSession, User
from billing.models.refunds import FraudWarning, Refund
from billing.models.runs import SyncRun
from billing.models.subscriptions import CheckoutSession, Subscription
from billing.models.withdrawals import Withdrawal
from billing.models.writes import StripeWrite

__all__ = [
    "AuditEntry",
    "AuthToken",
    "CheckoutSession",
    "Comp",
    "DataExport",
    "Deletion",
    "Dispute",
    "FraudWarning",
    "Grant",
    "Installation",
    "Invoice",
    "Lease",
    "LoginSession",
    "Notice",
    "PastPrice",
    "Payment",
    "PlanPrice",
    "RateHit",
    "Refund",
    "StripeEvent",
    "StripeWrite",
    "Subscription",
    "SyncRun",
    "User",
    "Withdrawal",
]
