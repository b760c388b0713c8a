//! What the manual adds to each command's own description: examples, and which
//! page to read next.

/// Page, examples (what for, and the line to type), and the pages to see.
pub type Entry = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static [&'static str],
);

/// Every page has one.
pub const PAGES: &[Entry] = &[
    (
        "epochwal",
        &[
            ("Is the log whole?", "epochwal verify app.db"),
            ("What is in it?", "epochwal inspect app.db"),
            (
                "Which slot holds the spool back?",
                "epochwal slots list app.db",
            ),
        ],
        &["epochwal-verify", "epochwal-inspect", "epochwal-recover"],
    ),
    (
        "epochwal-inspect",
        &[
            ("Segments and groups as text:", "epochwal inspect app.db"),
            (
                "On a page for a browser:",
                "epochwal inspect app.db --html app.html",
            ),
            (
                "With the latencies of the disk it is on:",
                "epochwal bench . --seconds 0.1 --json > bench.json && \
                 epochwal inspect app.db --html app.html --bench bench.json",
            ),
        ],
        &["epochwal-verify", "epochwal-stats", "epochwal-bench"],
    ),
    (
        "epochwal-verify",
        &[
            (
                "In a script: torn is as good as clean.",
                "epochwal verify app.db || [ $? = 1 ]",
            ),
            ("For a program:", "epochwal verify app.db --json"),
        ],
        &["epochwal-recover", "epochwal-salvage", "epochwal-inspect"],
    ),
    (
        "epochwal-recover",
        &[
            (
                "To a copy of the data file, beside its owner:",
                "epochwal recover app.db copy.db --page-size 4096",
            ),
            (
                "Of a damaged log, what lies before the damage:",
                "epochwal recover --prefix app.db prefix.db --page-size 4096",
            ),
            (
                "A log that is wanted no more, into its own data file:",
                "epochwal recover app.db app.db --page-size 4096 --delete-segments",
            ),
        ],
        &["epochwal-verify", "epochwal-salvage", "epochwal-cat"],
    ),
    (
        "epochwal-salvage",
        &[(
            "After all files were copied:",
            "mkdir kept && cp -p app.db* kept && epochwal salvage app.db",
        )],
        &["epochwal-verify", "epochwal-recover"],
    ),
    (
        "epochwal-cat",
        &[
            ("The batches of one epoch:", "epochwal cat app.db --epoch 3"),
            (
                "The first ten, as JSON:",
                "epochwal cat app.db --json | head -n 10",
            ),
        ],
        &["epochwal-recover", "epochwal-inspect"],
    ),
    (
        "epochwal-stats",
        &[
            ("Both logs of a data file:", "epochwal stats app.db"),
            ("For a program:", "epochwal stats app.db --json"),
        ],
        &["epochwal-inspect", "epochwal-bench"],
    ),
    (
        "epochwal-bench",
        &[(
            "This disk, with 1, 4 and 16 threads:",
            "epochwal bench . --threads 1,4,16 --seconds 0.1",
        )],
        &["epochwal-stats", "epochwal-inspect"],
    ),
    (
        "epochwal-spool",
        &[(
            "The last records of a spool:",
            "epochwal spool cat app.db | tail -n 5",
        )],
        &["epochwal-slots"],
    ),
    (
        "epochwal-spool-inspect",
        &[
            (
                "Bounds, terms and segments:",
                "epochwal spool inspect app.db",
            ),
            (
                "On a page for a browser:",
                "epochwal spool inspect app.db --html spool.html",
            ),
        ],
        &["epochwal-spool-verify", "epochwal-spool-cat"],
    ),
    (
        "epochwal-spool-cat",
        &[
            (
                "Ten records behind LSN 3, as JSON:",
                "epochwal spool cat app.db --since 3 --limit 10 --json",
            ),
            (
                "The payloads alone:",
                "epochwal spool cat app.db --payload raw > payloads",
            ),
        ],
        &["epochwal-spool-inspect", "epochwal-spool-export"],
    ),
    (
        "epochwal-spool-verify",
        &[(
            "In a script: torn is as good as clean.",
            "epochwal spool verify app.db || [ $? = 1 ]",
        )],
        &["epochwal-spool-salvage", "epochwal-spool-inspect"],
    ),
    (
        "epochwal-spool-salvage",
        &[(
            "After all files were copied:",
            "mkdir kept && cp -p app.db* kept && epochwal spool salvage app.db",
        )],
        &["epochwal-spool-verify", "epochwal-slots-salvage"],
    ),
    (
        "epochwal-spool-prune",
        &[(
            "Up to LSN 3, if no slot needs them:",
            "epochwal spool prune app.db 3",
        )],
        &["epochwal-slots-list", "epochwal-spool-inspect"],
    ),
    (
        "epochwal-spool-export",
        &[(
            "All records there are:",
            "epochwal spool export app.db records.rdlw",
        )],
        &["epochwal-spool-cat"],
    ),
    (
        "epochwal-slots",
        &[(
            "Who holds the spool back, and how far?",
            "epochwal slots list app.db",
        )],
        &["epochwal-spool"],
    ),
    (
        "epochwal-slots-list",
        &[(
            "Slots that are not valid:",
            "epochwal slots list app.db --json | grep state",
        )],
        &["epochwal-slots-show", "epochwal-spool-prune"],
    ),
    (
        "epochwal-slots-show",
        &[("One slot:", "epochwal slots show app.db replica-1")],
        &["epochwal-slots-list"],
    ),
    (
        "epochwal-slots-drop",
        &[(
            "A replica that will not return:",
            "epochwal slots drop app.db replica-1",
        )],
        &["epochwal-slots-list", "epochwal-slots-reset"],
    ),
    (
        "epochwal-slots-reset",
        &[(
            "A replica that was loaded from a snapshot of now:",
            "epochwal slots reset app.db replica-1 end",
        )],
        &["epochwal-slots-show", "epochwal-slots-drop"],
    ),
    (
        "epochwal-slots-export",
        &[(
            "For software that reads slots as JSON:",
            "epochwal slots export app.db > slots.json",
        )],
        &["epochwal-slots-list"],
    ),
    (
        "epochwal-slots-salvage",
        &[(
            "After all files were copied:",
            "mkdir kept && cp -p app.db* kept && epochwal slots salvage app.db",
        )],
        &["epochwal-slots-list", "epochwal-spool-salvage"],
    ),
    (
        "epochwal-completions",
        &[(
            "Into a file for bash to source:",
            "epochwal completions bash > epochwal.bash",
        )],
        &[],
    ),
];
