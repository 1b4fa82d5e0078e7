"""The parts of a report, one module each: from measurements to texts, tables and figures."""
