"""Short work that needs torch and is no run: plain data in, plain data out."""

from engine.jobs.drafts import REGISTRIES, catalogue, drafted
from engine.jobs.serve import serve_jobs
from engine.jobs.teachers import teacher_report

__all__ = ["REGISTRIES", "catalogue", "drafted", "serve_jobs", "teacher_report"]
